import { expect, test } from "vitest";
import { ApiEnv, parseEnv, WorkerEnv } from "../../../api/contract/env.ts";
import { parseModelSource } from "../../../api/contract/model-source.ts";

test.each([
  ["native/models/needle", { kind: "folder", folder: "native/models/needle" }],
  ["/models/llama", { kind: "folder", folder: "/models/llama" }],
  ["s3://models/llama-3.1-8b", { kind: "s3", bucket: "models", prefix: "llama-3.1-8b/" }],
  ["s3://models/a/b/", { kind: "s3", bucket: "models", prefix: "a/b/" }],
  ["s3://my.models", { kind: "s3", bucket: "my.models", prefix: "" }],
])("%s is where a model can be", (text, source) => {
  expect(parseModelSource(text)).toEqual(source);
});

test.each(["s3://", "s3:///llama", "s3://Upper/llama", "s3://a"])("%s names no bucket", (text) => {
  expect(parseModelSource(text)).toBeNull();
  expect(() => parseEnv(ApiEnv, { GNOMON_MODEL: text })).toThrow(/GNOMON_MODEL: must be a folder or s3:/);
});

test("a model in S3 needs a region, whatever the state is kept in", () => {
  const env = { GNOMON_MODEL: "s3://models/llama" };
  expect(() => parseEnv(WorkerEnv, env)).toThrow("AWS_REGION: needed where GNOMON_MODEL is in S3");
  expect(parseEnv(WorkerEnv, { ...env, AWS_REGION: "eu-west-1" }).GNOMON_MODEL).toBe("s3://models/llama");
});
