import { counted } from "../../contract/counted.ts";
import { isTerminal } from "../../contract/job.ts";
import type { Job } from "../../contract/job-resource.ts";
import type { SummaryRecord } from "../summarize/outputs.ts";
import type { Progress } from "./progress.ts";

/** Bars of many documents: how many are done, and the prefill and decoding of all jobs so far. */
export function createFolderProgress(progress: Pick<Progress, "show">, documents: number) {
  const jobs = new Map<string, Job>();
  let done = 0;
  let failed = 0;

  function show() {
    const all = [...jobs.values()];
    const sum = (of: (job: Job) => number) => all.reduce((total, job) => total + of(job), 0);
    const running = all.filter(({ status }) => status === "running").length;
    const waiting = all.filter(({ status }) => status === "queued").length;
    const decoded = sum((job) => job.progress.generated_tokens).toLocaleString("en-US");
    progress.show([
      {
        name: "folder",
        value: done,
        total: documents,
        unit: "document",
        ...(failed === 0 ? {} : { note: `${failed} failed` }),
      },
      {
        name: "prefill",
        value: sum((job) => job.progress.prefill_tokens),
        total: sum((job) => job.progress.prompt_tokens),
        unit: "token",
        note: `${decoded} decoded | ${counted(running, "job")} running, ${waiting} waiting`,
      },
    ]);
  }

  return {
    onJob(job: Job): void {
      jobs.set(job.id, job);
      show();
    },
    onRecord({ status }: SummaryRecord): void {
      done += 1;
      if (status === "failed") failed += 1;
      show();
    },
    runningJobs: (): string[] => [...jobs.values()].filter(({ status }) => !isTerminal(status)).map(({ id }) => id),
  };
}
