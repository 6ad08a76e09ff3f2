import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Claim } from "../../../../api/state/jobs/job-claims.ts";
import { eventsOf, type ReceivedEvent, readEvents } from "../../../support/event-stream.ts";
import { jobResult } from "../../../support/job-fixtures.ts";
import { openTestApp, readProblem, type TestApp } from "../../../support/test-app.ts";

let api: TestApp;
beforeEach(async () => {
  api = await openTestApp();
});
afterEach(() => api[Symbol.asyncDispose]());

const follow = (id: string, lastEventId?: string) =>
  api.get(`/v1/jobs/${id}/events`, lastEventId === undefined ? {} : { "Last-Event-ID": lastEventId });
const isText = ({ event }: ReceivedEvent) => event === "text";
const isDone = ({ event }: ReceivedEvent) => event === "done";
const textOf = (events: ReceivedEvent[]) =>
  events
    .filter(isText)
    .map(({ data }) => data.text)
    .join("");

/** What a worker writes of a job that it runs. */
const write = ({ state }: Claim, text: string, generated = text.length) =>
  api.state.streams.write(state.tenant, state.id, {
    version: 1,
    attempt: state.attempt,
    progress: { ...state.progress, prefill_tokens: state.progress.prompt_tokens, generated_tokens: generated },
    texts: [text],
  });

const succeed = (claim: Claim, answer: string) =>
  api.state.jobs.settleSucceeded(claim, jobResult(claim.state.id, claim.state.attempt, answer));

describe("200", () => {
  it("tells a queued job's way to its end: states, exact progress, text as it comes", async () => {
    const { id } = await api.submit();
    const response = await follow(id);
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    const seen: ReceivedEvent[] = [];
    let claim: Claim | undefined;
    for await (const event of eventsOf(response)) {
      seen.push(event);
      if (event.event === "progress" && claim === undefined) {
        claim = await api.claim(id);
        await write(claim, "It is");
      } else if (claim && event.event === "text" && event.data.text === "It is") await write(claim, "It is up");
      else if (claim && event.event === "text" && event.data.text === " up") await succeed(claim, "It is up.");
      if (isDone(event)) break;
    }
    expect(seen.filter(({ event }) => event === "state").map(({ data }) => data.status)).toEqual([
      "queued",
      "running",
      "succeeded",
    ]);
    const progress = seen.filter(({ event }) => event === "progress").map(({ data }) => data.generated_tokens);
    expect(progress).toEqual(expect.arrayContaining([0, 5, 8]));
    expect(seen.filter(isText).map(({ data }) => data)).toEqual([
      { index: 0, text: "It is" },
      { index: 0, text: " up" },
      { index: 0, text: "." },
    ]);
    expect(seen.at(-1)).toMatchObject({ event: "done", id: "done", data: { id, status: "succeeded" } });
  });

  it("goes on after the last event that a client had, in a process that knows nothing of it", async () => {
    const { id } = await api.submit();
    const claim = await api.claim(id);
    await write(claim, "It is");
    const before = await readEvents(await follow(id), isText);
    await write(claim, "It is up there");
    const after = await readEvents(await follow(id, before.at(-1)?.id), isText);
    expect(textOf(after)).toBe(" up there");
    await succeed(claim, "It is up there, high.");
    const rest = await readEvents(await follow(id, after.at(-1)?.id), isDone);
    expect(textOf(rest)).toBe(", high.");
    expect(rest.map(({ event }) => event)).not.toContain("reset");
  });

  it("survives the move to another worker, and repeats nothing that it says again", async () => {
    const { id } = await api.submit();
    await write(await api.claim(id), "It is up");
    const seen: ReceivedEvent[] = [];
    let second: Claim | undefined;
    for await (const event of eventsOf(await follow(id))) {
      seen.push(event);
      if (isText(event) && second === undefined) {
        api.state.advance(120_000);
        second = await api.claim(id);
        await write(second, "It");
        setTimeout(() => second && void write(second, "It is up there"), 400);
      } else if (isText(event) && second) await succeed(second, "It is up there.");
      if (isDone(event)) break;
    }
    expect(textOf(seen)).toBe("It is up there.");
    expect(seen.filter(({ event }) => event === "state").map(({ data }) => data.attempt)).toContain(2);
    expect(seen.map(({ event }) => event)).not.toContain("reset");
  });

  it("takes text back where the other worker says something else", async () => {
    const { id } = await api.submit();
    const first = await api.claim(id);
    await write(first, "It is up");
    const before = await readEvents(await follow(id), isText);
    api.state.advance(120_000);
    const second = await api.claim(id);
    // The first worker is not dead, only slow: what it still writes does not count.
    await write(first, "It is up and away");
    await succeed(second, "No.");
    const after = await readEvents(await follow(id, before.at(-1)?.id), isDone);
    expect(after.map(({ event }) => event)).toEqual(["state", "progress", "reset", "text", "done"]);
    expect(textOf(after)).toBe("No.");
  });

  it("tells of a job that is over at once, with the text of all answers", async () => {
    const { id } = await api.submit();
    await succeed(await api.claim(id), "It is up.");
    const events = await readEvents(await follow(id), isDone);
    expect(events.map(({ event }) => event)).toEqual(["state", "progress", "text", "done"]);
  });

  it("ends with a job that failed, was cancelled, or was deleted", async () => {
    const failed = await api.submit();
    await api.state.jobs.settleFailed(await api.claim(failed.id), { code: "internal", message: "no" });
    expect((await readEvents(await follow(failed.id), isDone)).at(-1)?.data).toMatchObject({ status: "failed" });

    const { id } = await api.submit();
    const seen: string[] = [];
    for await (const { event } of eventsOf(await follow(id))) {
      seen.push(event);
      if (event === "progress") {
        await api.post(`/v1/jobs/${id}/cancel`, {});
        await api.delete(`/v1/jobs/${id}`);
      }
    }
    expect(seen[0]).toBe("state");
  });
});

describe("204", () => {
  it("sends a client away that had the last event", async () => {
    const { id } = await api.submit();
    await succeed(await api.claim(id), "It is up.");
    expect((await follow(id, "done")).status).toBe(204);
  });
});

describe("400", () => {
  it("refuses an id of an event that is far too long", async () => {
    const { id } = await api.submit();
    expect((await readProblem(await follow(id, "1".repeat(2000)))).code).toBe("invalid_request");
  });
});

describe("404", () => {
  it("knows no events of a job that there is none of", async () => {
    expect((await readProblem(await follow("job_none"))).code).toBe("job_not_found");
  });
});
