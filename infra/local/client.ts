import { setTimeout as delay } from "node:timers/promises";
import type { z } from "zod";
import { Document } from "../../api/contract/document.ts";
import { isTerminal } from "../../api/contract/job.ts";
import { Job } from "../../api/contract/job-resource.ts";
import { JobResult } from "../../api/contract/job-result.ts";
import { Problem } from "../../api/contract/problem.ts";

const POLL_MS = 200;

/** The few calls that the quickstart makes, over HTTP like anybody else's. Rejects with the problem's own words. */
export function createClient(url: string) {
  async function call<S extends z.ZodType>(schema: S, path: string, init?: RequestInit): Promise<z.infer<S>> {
    const response = await fetch(url + path, init);
    if (response.ok) return schema.parse(await response.json());
    const { title, detail } = Problem.parse(await response.json());
    throw new Error(`${init?.method ?? "GET"} ${path}: ${title}. ${detail}`);
  }
  const post = <S extends z.ZodType>(schema: S, path: string, type: string, body: string) =>
    call(schema, path, { method: "POST", headers: { "Content-Type": type }, body });

  return {
    uploadText: (text: string) => post(Document, "/v1/documents", "text/plain", text),
    submit: (job: object) => post(Job, "/v1/jobs", "application/json", JSON.stringify(job)),
    result: (job: Job) => call(JobResult, job.urls.result),
    /** Polls until the job is over, telling of each look. */
    async wait(job: Job, signal: AbortSignal, onJob: (job: Job) => void): Promise<Job> {
      for (let current = job; ; current = await call(Job, job.urls.self, { signal })) {
        onJob(current);
        if (isTerminal(current.status)) return current;
        await delay(POLL_MS, undefined, { signal });
      }
    },
  };
}
