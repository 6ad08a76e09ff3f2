import { EventSourceParserStream } from "eventsource-parser/stream";
import { z } from "zod";
import { JobProgress } from "../contract/job.ts";
import { Job, JobText } from "../contract/job-resource.ts";
import { pause } from "./pause.ts";
import { problemError } from "./problem-error.ts";

/** What GET /v1/jobs/{id}/events sends. */
const JobEvent = z.discriminatedUnion("event", [
  z.object({ event: z.literal("state"), data: Job }),
  z.object({ event: z.literal("progress"), data: JobProgress }),
  z.object({ event: z.literal("text"), data: JobText }),
  z.object({ event: z.literal("reset"), data: z.object({}) }),
  z.object({ event: z.literal("done"), data: Job }),
]);
export type JobEvent = z.infer<typeof JobEvent>;

type Options = {
  url: string;
  headers: Record<string, string>;
  fetch: typeof fetch;
  signal: AbortSignal | undefined;
};

const COME_BACK_MS = 1_000;
/** Times in a row that nothing at all came. */
const TRIES = 5;

/** What happens to a job until it is over. A stream that breaks off is taken up again where it ended. */
export async function* jobEvents({ url, headers, fetch: send, signal }: Options): AsyncGenerator<JobEvent> {
  let lastId = "";
  for (let failures = 0; ; ) {
    const resume: Record<string, string> = lastId === "" ? {} : { "Last-Event-ID": lastId };
    try {
      const response = await send(url, { headers: { ...headers, ...resume }, ...(signal ? { signal } : {}) });
      if (response.status === 204) return;
      if (!response.ok) throw await problemError(`GET ${url}`, response);
      if (response.body === null) return;
      const events = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
      for await (const { event, data, id } of events) {
        lastId = id ?? lastId;
        failures = 0;
        const parsed = JobEvent.safeParse({ event, data: JSON.parse(data) });
        // A service newer than this client may send more kinds.
        if (!parsed.success) continue;
        yield parsed.data;
        if (parsed.data.event === "done") return;
      }
    } catch (error) {
      signal?.throwIfAborted();
      failures += 1;
      // fetch and a broken body both reject with one.
      if (!(error instanceof TypeError) || failures === TRIES) throw error;
    }
    await pause(COME_BACK_MS, signal);
  }
}
