// A typed client for the service. The types of every request and response are those of the routes themselves.
import { type ClientResponse, hc } from "hono/client";
import type { createApp } from "../app.ts";
import type { DocumentType } from "../contract/document.ts";
import { isTerminal } from "../contract/job.ts";
import type { Job } from "../contract/job-resource.ts";
import type { JobResult } from "../contract/job-result.ts";
import { pause } from "./pause.ts";
import { ProblemError, problemError } from "./problem-error.ts";

type App = ReturnType<typeof createApp>;

/** What POST /v1/jobs takes: as CreateJob, with its defaults left out. */
export type JobQuestion = Parameters<ReturnType<typeof hc<App>>["v1"]["jobs"]["$post"]>[0]["json"];

export type ClientOptions = {
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

export type Answered = { job: Job; result: JobResult };

const POLL_MS = 500;
/** Tries of a request whose answer did not come, or said that the service is not available now. */
const TRIES = 4;
const RETRY_MS = 250;

export type Client = ReturnType<typeof createClient>;

export function createClient(baseUrl: string, { apiKey, fetch: send = fetch }: ClientOptions = {}) {
  const headers: Record<string, string> = apiKey === undefined ? {} : { Authorization: `Bearer ${apiKey}` };
  const routes = hc<App>(baseUrl, { headers, fetch: send });

  /** The job as it is now, or once it is over or the signal is aborted. */
  async function wait(job: Job, { signal, onProgress, pollMs = POLL_MS }: AskOptions = {}): Promise<Job> {
    for (let current = job; ; ) {
      onProgress?.(current);
      if (isTerminal(current.status)) return current;
      await pause(pollMs, signal);
      const { id } = current;
      const look = () => routes.v1.jobs[":id"].$get({ param: { id }, header: {} }) as Answer<Job>;
      current = await retried(`GET /v1/jobs/${id}`, look, signal);
    }
  }

  /** Safe to repeat: the key makes the second request find the job of the first. */
  function submit(json: JobQuestion, signal?: AbortSignal): Promise<Job> {
    const header = { "idempotency-key": `"${crypto.randomUUID()}"` };
    return retried("POST /v1/jobs", () => routes.v1.jobs.$post({ json, header }), signal);
  }

  return {
    /** Every route as the service declares it: `client.routes.v1.jobs.$get({ query: {} })`. */
    routes,

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

    submit,
    wait,

    result(job: Job): Promise<JobResult> {
      const { id } = job;
      const read = () => routes.v1.jobs[":id"].result.$get({ param: { id }, header: {} }) as Answer<JobResult>;
      return retried(`GET ${job.urls.result}`, read);
    },

    /** Submits, waits and fetches the answers. Rejects with a ProblemError if the job does not succeed. */
    async ask(question: JobQuestion, options: AskOptions = {}): Promise<Answered> {
      const submitted = await submit(question, options.signal);
      let job: Job;
      try {
        job = await wait(submitted, options);
      } catch (error) {
        // Nobody waits for it any more. If this does not reach the service, the job runs to its end.
        const { id } = submitted;
        if (options.signal?.aborted) await routes.v1.jobs[":id"].cancel.$post({ param: { id } }).catch(() => undefined);
        throw error;
      }
      if (job.status !== "succeeded") {
        throw new ProblemError(`job ${job.id} is ${job.status}${job.error ? `: ${job.error.message}` : ""}`, 409, null);
      }
      return { job, result: await this.result(job) };
    },
  };
}

/** Of a route that can answer 304 or text as well: not without asking for it. */
type Answer<T> = Promise<ClientResponse<T, 200, "json">>;

async function accepted<T>(
  what: string,
  response: { ok: boolean; status: number; json(): Promise<T> },
): Promise<Accepted<T>> {
  if (!response.ok) throw await problemError(what, response);
  return (await response.json()) as Accepted<T>;
}

/** Of what a route may answer, what it answers with success. */
type Accepted<T> = Exclude<T, { code: string; status: number }>;

async function retried<T>(
  what: string,
  request: () => Promise<{ ok: boolean; status: number; json(): Promise<T> }>,
  signal?: AbortSignal,
): Promise<Accepted<T>> {
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return await accepted(what, await request());
    } catch (error) {
      const passing = error instanceof ProblemError ? error.status === 503 : error instanceof TypeError;
      if (!passing || attempt === TRIES) throw error;
      await pause(RETRY_MS * 2 ** attempt, signal);
    }
  }
}
