import { afterEach, expect, it, vi } from "vitest";
import { spotNotice } from "../../../worker/host/spot-notice.ts";

const NOW = Date.parse("2026-11-24T22:00:00Z");
const stop = new AbortController();
afterEach(() => vi.restoreAllMocks());

/** A metadata service of EC2, version 2, whose Spot notice is what `answers` gives, one look after the other. */
function metadata(answers: (string | number | Error)[]) {
  const warn = vi.fn();
  let looks = 0;
  const fetch = vi.fn(async (input: string | URL | Request, init?: RequestInit) => {
    const { pathname } = new URL(new Request(input).url);
    if (pathname === "/latest/api/token" && init?.method === "PUT") return new Response("token");
    expect(pathname).toBe("/latest/meta-data/spot/instance-action");
    expect(new Headers(init?.headers).get("x-aws-ec2-metadata-token")).toBe("token");
    const answer = answers[looks++] ?? 404;
    if (answer instanceof Error) throw answer;
    return typeof answer === "number" ? new Response("", { status: answer }) : new Response(answer);
  });
  const notice = spotNotice({
    url: "http://metadata.test",
    fetch,
    now: () => NOW,
    delay: async () => {},
    signal: stop.signal,
    log: { warn },
  });
  return { notice, warn, fetch };
}

it("tells how long the instance has left, once there is a notice", async () => {
  const { notice } = metadata([404, 404, '{"action": "terminate", "time": "2026-11-24T22:02:00Z"}']);
  expect(await notice).toBe(120_000);
});

it("takes a notice that it cannot read for one without a time", async () => {
  expect(await metadata(["soon"]).notice).toBeNull();
});

it("goes on asking a service that fails, and says so once", async () => {
  const { notice, warn } = metadata([
    new Error("no route"),
    500,
    new Error("no route"),
    '{"time": "2026-11-24T22:00:01Z"}',
  ]);
  expect(await notice).toBe(1_000);
  expect(warn).toHaveBeenCalledOnce();
});

it("fetches a new token when the old one has ended", async () => {
  const { notice, fetch } = metadata([401, '{"time": "2026-11-24T22:00:01Z"}']);
  await notice;
  expect(fetch.mock.calls.filter(([, init]) => init?.method === "PUT").length).toBe(2);
});
