import { describe, expect, it } from "vitest";
import { parseSettings } from "../../../infra/cdk/settings.ts";

const parse = (context: Record<string, string>) => parseSettings((name) => context[name]);

describe("settings", () => {
  it("name what is wrong with them", () => {
    expect(() => parse({ api: "ec2", max_workers: "-1", worker_image: "no tag" })).toThrow(
      /api: .*\s+worker_image: .*\s+max_workers: /,
    );
  });

  it("ask for a certificate where a load balancer needs one", () => {
    expect(() => parse({ api: "fargate" })).toThrow(/certificate_arn: needed/);
  });
});
