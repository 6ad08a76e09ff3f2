// A typed client for the service. The types of every request and response are those of the routes themselves.
import { type ClientResponse, hc } from "hono/client";
import type { createApp } from "../app.ts";
import type { DocumentType } from "../contract/document.ts";
import { isTerminal } from "../contract/job.ts";
import type { Job } from "../contract/job-resource.ts";
import type { JobResult } from "../contract/job-result.ts";
import { createBatches } from "./batches.ts";
import { JobEnded } from "./errors.ts";
import { type JobEvent, jobEvents } from "./job-events.ts";
import { pause } from "./pause.ts";
import { problemError } from "./problem-error.ts";
import { accepted } from "./request.ts";
import { createRetryingFetch, type RetryOptions } from "./retrying-fetch.ts";

type App = ReturnType<typeof createApp>;

/** What POST /v1/jobs takes: as CreateJob, with its defaults left out. */
export type JobQuestion = Parameters<ReturnType<typeof hc<App>>["v1"]["jobs"]["$post"]>[0]["json"];

export type ClientOptions = RetryOptions & {
  /** Without one only a service on this machine answers. */
  apiKey?: string | undefined;
  fetch?: typeof fetch;
};

export type AskOptions = {
  /** Ends the wait, and the job with it. */
  signal?: AbortSignal;
  /** Each look at the job. */
  onProgress?: (job: Job) => void;
  /** Between looks. */
  pollMs?: number;
};

export type SubmitOptions = {
  signal?: AbortSignal | undefined;
  /** The same key and question give the same job for as long as it is kept. Default: a new one. */
  idempotencyKey?: string | undefined;
};

export type Answered = { job: Job; result: JobResult };

const POLL_MS = 500;

export type Client = ReturnType<typeof createClient>;

/** What may be sent twice is tried again while the service is away or has no room: RetryOptions say for how long. */
export function createClient(baseUrl: string, { apiKey, fetch: once = fetch, ...retry }: ClientOptions = {}) {
  const send = createRetryingFetch({ fetch: once }, retry);
  const headers: Record<string, string> = apiKey === undefined ? {} : { Authorization: `Bearer ${apiKey}` };
  const routes = hc<App>(baseUrl, { headers, fetch: send });

  /** The job as it is now. */
  function get(id: string, signal?: AbortSignal): Promise<Job> {
    const look = routes.v1.jobs[":id"].$get({ param: { id }, header: {} }, { init: signal ? { signal } : {} });
    return accepted(`GET /v1/jobs/${id}`, look as Answer<Job>);
  }

  /** The job once it is over. */
  async function wait(job: Job, { signal, onProgress, pollMs = POLL_MS }: AskOptions = {}): Promise<Job> {
    for (let current = job; ; ) {
      onProgress?.(current);
      if (isTerminal(current.status)) return current;
      await pause(pollMs, signal);
      current = await get(current.id, signal);
    }
  }

  /** Safe to repeat: the key makes the second request find the job of the first. */
  function submit(json: JobQuestion, { signal, idempotencyKey }: SubmitOptions = {}): Promise<Job> {
    const header = { "idempotency-key": `"${(idempotencyKey ?? crypto.randomUUID()).replace(/["\\]/g, "\\$&")}"` };
    return accepted("POST /v1/jobs", routes.v1.jobs.$post({ json, header }, { init: signal ? { signal } : {} }));
  }

  return {
    /** Every route as the service declares it: `client.routes.v1.jobs.$get({ query: {} })`. */
    routes,

    batches: createBatches({ baseUrl, headers, fetch: send }),

    /** Sends a document as it is, of any size: a stream is passed on as it comes. */
    async sendDocument(content: string | Blob | ReadableStream<Uint8Array>, type: DocumentType = "text/plain") {
      const what = "POST /v1/documents";
      const response = await send(`${baseUrl}/v1/documents`, {
        method: "POST",
        headers: { ...headers, "Content-Type": type },
        body: content,
        ...(content instanceof ReadableStream ? { duplex: "half" } : {}),
      } as RequestInit);
      return accepted(what, response as Awaited<ReturnType<typeof routes.v1.documents.$post>>);
    },

    /** The text that jobs read of a document. */
    async text(id: string): Promise<string> {
      const response = await routes.v1.documents[":id"].text.$get({ param: { id: encodeURIComponent(id) } });
      if (!response.ok) throw await problemError(`GET /v1/documents/${id}/text`, response);
      return response.text();
    },

    get,
    submit,
    wait,

    /** What happens to the job from now on, the text as it is generated included, until it is over. */
    events(id: string, signal?: AbortSignal): AsyncGenerator<JobEvent> {
      return jobEvents({ url: `${baseUrl}/v1/jobs/${encodeURIComponent(id)}/events`, headers, fetch: send, signal });
    },

    /** A job that is over stays as it is. */
    cancel(id: string): Promise<Job> {
      return accepted(
        `POST /v1/jobs/${id}/cancel`,
        routes.v1.jobs[":id"].cancel.$post({ param: { id: encodeURIComponent(id) } }),
      );
    },

    result({ id }: Pick<Job, "id">): Promise<JobResult> {
      const read = routes.v1.jobs[":id"].result.$get({ param: { id }, header: {} });
      return accepted(`GET /v1/jobs/${id}/result`, read as Answer<JobResult>);
    },

    /** Submits, waits and fetches the answers. Rejects with JobEnded if the job does not succeed. */
    async ask(question: JobQuestion, options: AskOptions = {}): Promise<Answered> {
      const submitted = await submit(question, { signal: options.signal });
      let job: Job;
      try {
        job = await wait(submitted, options);
      } catch (error) {
        // Nobody waits for it any more. If this does not reach the service, the job runs to its end.
        if (options.signal?.aborted) await this.cancel(submitted.id).catch(() => undefined);
        throw error;
      }
      if (job.status !== "succeeded") throw new JobEnded(job);
      return { job, result: await this.result(job) };
    },
  };
}

/** Of a route that can answer 304 or text as well: not without asking for it. */
type Answer<T> = Promise<ClientResponse<T, 200, "json">>;
