import { createRoute, z } from "@hono/zod-openapi";
import { streamSSE } from "hono/streaming";
import { JobProgress } from "../../contract/job.ts";
import { Job, JobText } from "../../contract/job-resource.ts";
import { limits } from "../../contract/limits.ts";
import { eventStream } from "../../http/event-stream.ts";
import { createRouter, problemResponses } from "../../http/router.ts";
import { describeJob } from "./describe-job.ts";
import { endOf } from "./end-of-stream.ts";
import { type FollowDeps, followJob, type JobUpdate } from "./follow-job.ts";
import type { JobDeps } from "./job-deps.ts";
import { readJob } from "./read-job.ts";
import { createSentText, type SentText } from "./sent-text.ts";

/** The id of the last event. */
const DONE = "done";

const id = z.string().meta({ description: "What `Last-Event-ID` takes." });

/** Each event of the stream. */
const Event = z.discriminatedUnion("event", [
  z.object({ event: z.literal("state"), data: Job, id }),
  z.object({ event: z.literal("progress"), data: JobProgress, id }),
  z.object({ event: z.literal("text"), data: JobText, id }),
  z.object({ event: z.literal("reset"), data: z.object({}), id }),
  z.object({ event: z.literal("done"), data: Job, id: z.literal(DONE) }),
]);

const example = `event: progress
data: {"prompt_tokens":10371,"prefill_tokens":10371,"generated_tokens":8,"questions_done":0,"questions_total":1}
id: -4f53cda18c2baa0c

event: text
data: {"index":0,"text":"Contract KD-4417"}
id: 16-6d25b9ec7dcb8a7c

`;

const getEvents = createRoute({
  method: "get",
  path: "/v1/jobs/{id}/events",
  summary: "What happens to a job, as it happens",
  description:
    "Server-sent events: `state` and `done` (a Job), `progress` (a JobProgress), `text` (a JobText: what has come to the " +
    "answer with this index) and `reset` (`{}`: forget the text so far, another attempt says something else). " +
    "`done` is the last. Give the id of the last event you have as `Last-Event-ID`, as browsers do, and only what " +
    "came after it is sent.",
  request: {
    params: z.object({ id: z.string() }),
    headers: z.object({ "last-event-id": z.string().max(limits.eventIdCharacters).optional() }),
  },
  responses: {
    200: { description: "The events.", content: eventStream(Event, example) },
    204: { description: "`done` was sent already: there is nothing to come back for." },
    ...problemResponses(400, 404),
  },
});

export const jobEventsRoute = (deps: FollowDeps & Pick<JobDeps, "estimates" | "waitMs">) =>
  createRouter().openapi(getEvents, async (c) => {
    const first = await readJob(deps.jobs, c.get("tenant"), c.req.valid("param").id);
    const lastEventId = c.req.valid("header")["last-event-id"];
    if (lastEventId === DONE) return c.body(null, 204);
    c.header("X-Accel-Buffering", "no");
    return streamSSE(c, async (stream) => {
      const sent = createSentText(lastEventId);
      // A client that has had the stream for long comes back with its last id.
      const signal = AbortSignal.any([
        endOf(stream, c.req.raw.signal),
        AbortSignal.timeout(Math.min(limits.eventStreamMs, deps.waitMs)),
      ]);
      const beat = setInterval(() => void stream.write(": still here\n\n"), limits.eventKeepAliveMs);
      try {
        for await (const update of followJob(first, deps, { sent, signal })) {
          await stream.writeSSE({ ...(await describe(update, deps.estimates)), id: idOf(update, sent) });
        }
      } finally {
        clearInterval(beat);
      }
    });
  });

function idOf(update: JobUpdate, sent: SentText): string {
  if (update.type === "end") return DONE;
  // Nothing counts any more, and what comes instead has not come yet.
  if (update.type === "reset") return createSentText().id();
  return update.type === "text" ? update.id : sent.id();
}

async function describe(update: JobUpdate, estimates: JobDeps["estimates"]): Promise<{ event: string; data: string }> {
  switch (update.type) {
    case "state":
      return { event: "state", data: JSON.stringify(await describeJob(update.state, estimates)) };
    case "progress":
      return { event: "progress", data: JSON.stringify(update.progress) };
    case "reset":
      return { event: "reset", data: "{}" };
    case "text":
      return { event: "text", data: JSON.stringify({ index: update.index, text: update.text } satisfies JobText) };
    case "end":
      return { event: "done", data: JSON.stringify(await describeJob(update.state, estimates)) };
  }
}
