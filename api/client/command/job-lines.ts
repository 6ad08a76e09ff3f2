import { counted } from "../../contract/counted.ts";
import type { Job } from "../../contract/job-resource.ts";

const count = (value: number): string => value.toLocaleString("en-US");
const time = (seconds: number): string => `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`;
const share = (part: number, whole: number): string => (whole === 0 ? "0 %" : `${Math.floor((100 * part) / whole)} %`);

/** One row each, newest first, below a header. */
export const jobRows = (jobs: readonly Job[]): string[][] => [
  ["JOB", "STATUS", "PREFILL", "ANSWERS", "TOKENS", "CREATED"],
  ...jobs.map(({ id, status, progress, created_at }) => [
    id,
    status,
    share(progress.prefill_tokens, progress.prompt_tokens),
    `${progress.questions_done}/${progress.questions_total}`,
    count(progress.prompt_tokens + progress.generated_tokens),
    time(created_at),
  ]),
];

/** Everything worth knowing of one job, a line each. */
export function jobLines(job: Job): string[] {
  const { progress, usage, timings, cost, error } = job;
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  const lines: [string, string | null][] = [
    ["job", job.id],
    ["status", job.cancel_requested && job.finished_at === null ? `${job.status}, being cancelled` : job.status],
    ["model", job.model],
    ["queue", job.queue_position === null ? null : `${job.queue_position} before it`],
    ["prefill", `${count(progress.prefill_tokens)} of ${counted(progress.prompt_tokens, "token")}`],
    ["decode", counted(progress.generated_tokens, "token")],
    ["answers", `${progress.questions_done} of ${progress.questions_total}`],
    ["attempt", job.attempt > 1 ? String(job.attempt) : null],
    ["created", time(job.created_at)],
    ["started", job.started_at === null ? null : time(job.started_at)],
    ["finished", job.finished_at === null ? null : time(job.finished_at)],
    ["estimated", job.estimated_finish_at === null ? null : time(job.estimated_finish_at)],
    ["usage", usage && `${count(usage.prompt_tokens)} + ${counted(usage.completion_tokens, "token")}`],
    [
      "timings",
      timings &&
        `queued ${seconds(timings.queued_ms)}, prefill ${seconds(timings.prefill_ms)}, decode ${seconds(timings.decode_ms)}`,
    ],
    ["cost", cost && `${cost.amount} ${cost.currency}`],
    ["error", error && `${error.code}: ${error.message}`],
    ...Object.entries(job.metadata).map(([key, value]): [string, string] => [key, value]),
  ];
  return lines.flatMap(([name, text]) => (text === null ? [] : [`${name.padEnd(10)} ${text}`]));
}
