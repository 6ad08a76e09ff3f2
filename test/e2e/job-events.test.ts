import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient } from "../../api/client/client.ts";
import { type ReceivedEvent, readEvents } from "../support/event-stream.ts";
import { startRealService } from "../support/real-service.ts";

const PATIENCE_MS = 120_000;

let service: Awaited<ReturnType<typeof startRealService>>;
beforeAll(async () => {
  service = await startRealService();
});
afterAll(() => service?.[Symbol.asyncDispose]());

describe("the events of a job, in real processes", () => {
  it("give its whole text once, however often the client comes back", { timeout: PATIENCE_MS }, async () => {
    const client = createClient(service.url);
    const job = await client.submit({
      documents: [{ text: "Contract AB-1234 expires on 3 May 2030." }],
      questions: ["When does contract AB-1234 expire?", "Tell me more."],
      max_tokens: 400,
      ignore_eos: true,
    });
    const events: ReceivedEvent[] = [];
    while (events.at(-1)?.event !== "done") {
      const id = events.at(-1)?.id;
      const headers: Record<string, string> = id === undefined ? {} : { "Last-Event-ID": id };
      const response = await fetch(`${service.url}/v1/jobs/${job.id}/events`, { headers });
      events.push(...(await readEvents(response, ({ event }) => event === "text" || event === "done")));
    }
    const result = await client.result(job);
    const texts = result.answers.map((_, index) =>
      events.map(({ event, data }) => (event === "text" && data.index === index ? data.text : "")).join(""),
    );
    expect(texts).toEqual(result.answers.map(({ answer }) => answer));
    expect(events.map(({ event }) => event)).not.toContain("reset");
    const response = await fetch(`${service.url}/v1/jobs/${job.id}/events`, { headers: { "Last-Event-ID": "done" } });
    expect(response.status).toBe(204);
  });
});
