// The event streams that the OpenAPI documents: as objects, one for each event, that what is sent fits.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Claim } from "../../api/state/jobs/job-claims.ts";
import { describedStreams, eventsIn } from "../support/described-streams.ts";
import { eventually } from "../support/eventually.ts";
import { jobResult } from "../support/job-fixtures.ts";
import { openTestApp, type TestApp } from "../support/test-app.ts";

const CHAT = "POST /v1/chat/completions";
const JOB = "GET /v1/jobs/{id}/events";

let api: TestApp;
let streams: Awaited<ReturnType<typeof describedStreams>>;
beforeAll(async () => {
  api = await openTestApp();
  streams = await describedStreams(api);
});
afterAll(() => api[Symbol.asyncDispose]());

const streamOf = (name: string) => {
  const stream = streams.find((described) => described.name === name);
  if (stream === undefined) throw new Error(`no event stream of ${name} is documented`);
  return stream;
};

/** The events of a response that has come to its end, once each has been held against what is documented. */
async function heldEvents(name: string, response: Response) {
  const events = eventsIn(await response.text());
  expect(events.filter((event) => !streamOf(name).fits(event))).toEqual([]);
  return events;
}

it("are those of a chat and of a job", () => {
  expect(streams.map(({ name }) => name).sort()).toEqual([JOB, CHAT]);
});

describe.each([CHAT, JOB])("%s", (name) => {
  it("is described event by event, with what the data of each holds", () => {
    const { schema } = streamOf(name);
    const kinds = (schema.oneOf ?? [schema]) as { type: string; required: string[]; properties: Record<string, any> }[];
    for (const { type, required, properties } of kinds) {
      expect([type, required]).toEqual(["object", expect.arrayContaining(["data"])]);
      for (const data of properties.data.anyOf ?? [properties.data]) {
        expect(data).toMatchObject({ type: "string" });
        expect(data.enum ?? data.contentSchema).toBeDefined();
        if (data.contentSchema) expect(data.contentMediaType).toBe("application/json");
      }
    }
  });

  it("has an example that fits", () => {
    const { example, fits } = streamOf(name);
    const events = eventsIn(String(example));
    expect(events.length).toBeGreaterThan(1);
    expect(events.filter((event) => !fits(event))).toEqual([]);
  });

  it("is nothing else", () => {
    const { example, fits } = streamOf(name);
    const [first] = eventsIn(String(example));
    for (const data of ["", "text", '"text"', "[]"]) expect(fits({ event: "message", ...first, data })).toBe(false);
  });
});

describe(CHAT, () => {
  const chat = { model: "words", messages: [{ role: "user", content: "where" }], max_completion_tokens: 10 };

  /** The streamed answer to a chat that ends as `end` says. */
  async function streamed(end: (claim: Claim) => Promise<unknown>, asked = {}): Promise<Response> {
    const response = await api.post("/v1/chat/completions", { ...chat, stream: true, ...asked });
    await end(await eventually(() => api.claim(response.headers.get("x-job-id") ?? "")));
    return response;
  }

  it("sends what is described: the answer with its log-probabilities, and its usage", async () => {
    const token = { token: "Up", logprob: -0.5, bytes: null };
    const response = await streamed(
      (claim) => {
        const result = jobResult(claim.state.id, claim.state.attempt, "Up.");
        for (const answer of result.answers) {
          answer.logprobs = { content: [{ ...token, top_logprobs: [token] }], refusal: null };
        }
        return api.state.jobs.settleSucceeded(claim, result);
      },
      { logprobs: true, top_logprobs: 1, stream_options: { include_usage: true } },
    );
    const events = await heldEvents(CHAT, response);
    expect(events.at(-1)).toEqual({ event: "message", data: "[DONE]" });
    expect(events.at(-2)?.data).toContain('"usage"');
  });

  it("sends what is described where there is no answer", async () => {
    const failure = { code: "out_of_memory", message: "Too little memory." };
    const response = await streamed((claim) => api.state.jobs.settleFailed(claim, failure));
    const events = await heldEvents(CHAT, response);
    expect(events.at(-1)?.data).toContain('"error"');
  });
});

describe(JOB, () => {
  it("sends what is described, text that is taken back included", async () => {
    const { id } = await api.submit();
    const claim = await api.claim(id);
    await api.state.jobs.settleSucceeded(claim, jobResult(id, claim.state.attempt, "No."));
    const path = `/v1/jobs/${id}/events`;
    const kinds = (await heldEvents(JOB, await api.get(path))).map(({ event }) => event);
    expect(kinds).toEqual(["state", "progress", "text", "done"]);
    const another = { "Last-Event-ID": "5-0123456789abcdef" };
    expect((await heldEvents(JOB, await api.get(path, another))).map(({ event }) => event)).toContain("reset");
  });
});
