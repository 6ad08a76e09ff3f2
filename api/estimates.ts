import type { JobState } from "./contract/job.ts";
import { limits } from "./contract/limits.ts";
import type { WorkerReport } from "./contract/worker-report.ts";
import type { ActiveJobs, Weight } from "./state/jobs/active-jobs.ts";
import type { Load } from "./state/jobs/queue-places.ts";
import type { WorkerReports } from "./state/worker-reports.ts";

type Tokens = Pick<Load, "promptTokens" | "completionTokens">;

/** Where a job is in the queue and when it may be over; null where that is not known, or no longer of interest. */
export type Outlook = {
  queue_position: number | null;
  estimated_start_at: number | null;
  estimated_finish_at: number | null;
};

export type SequenceMemory = {
  fits: boolean;
  bytes: { device: number; host: number };
  capacity: { device: number; host: number };
};

export type Estimates = ReturnType<typeof createEstimates>;

type Deps = { active: ActiveJobs; workers: WorkerReports; model: string };

const OVER: Outlook = { queue_position: null, estimated_start_at: null, estimated_finish_at: null };

/** Predictions from the rates that the workers have measured, as if every answer took all the tokens that it may. */
export function createEstimates({ active, workers, model }: Deps) {
  async function seconds({ promptTokens, completionTokens }: Tokens): Promise<number | null> {
    const { reports } = await workers.ofModel(model);
    const prefill = sum(reports, (report) => report.prefill_tokens_per_second);
    const decode = sum(reports, (report) => report.decode_tokens_per_second);
    return prefill === 0 || decode === 0 ? null : promptTokens / prefill + completionTokens / decode;
  }

  /** Times are counted from when what they rest on was measured: so a job that has not changed reads the same twice. */
  async function outlook(state: JobState): Promise<Outlook> {
    if (state.status === "queued") {
      await active.update(false);
      const ahead = active.ahead(weightOf(state));
      const wait = await seconds(ahead);
      const run = await seconds(tokensOf(state));
      if (wait === null || run === null) return { ...OVER, queue_position: ahead.jobs };
      const start = Math.round(active.asOfMs() / 1000 + wait);
      return {
        queue_position: ahead.jobs,
        estimated_start_at: start,
        estimated_finish_at: Math.round(start + run),
      };
    }
    if (state.status !== "running") return OVER;
    const { progress, reserved, lease } = state;
    const left = await seconds({
      promptTokens: Math.max(0, reserved.prompt_tokens - progress.prefill_tokens),
      completionTokens: Math.max(0, reserved.completion_tokens - progress.generated_tokens),
    });
    const seenMs = (lease?.until_ms ?? limits.leaseMs) - limits.leaseMs;
    return { ...OVER, estimated_finish_at: left === null ? null : Math.round(seenMs / 1000 + left) };
  }

  return {
    seconds,
    outlook,

    /** What a sequence takes on the worker with the most room; null where no worker has ever said. */
    async memory(promptTokens: number, newTokens: number): Promise<SequenceMemory | null> {
      const { reports } = await workers.ofModel(model);
      const all = reports.map((report) => sequenceMemory(report, promptTokens, newTokens));
      return all.find(({ fits }) => fits) ?? all[0] ?? null;
    },

    /** Until so much of the queue is done, taking each token for an average one of it. */
    async drainSeconds(share: { jobs?: number; tokens?: number }): Promise<number | null> {
      const all = active.all();
      const tokens = all.promptTokens + all.completionTokens;
      const whole = await seconds(all);
      if (whole === null || all.jobs === 0 || tokens === 0) return null;
      return whole * Math.min(1, (share.jobs ?? 0) / all.jobs + (share.tokens ?? 0) / tokens);
    },

    /** Workers that are there now. */
    async liveWorkers(): Promise<number> {
      const { reports, live } = await workers.ofModel(model);
      return live ? reports.length : 0;
    },
  };
}

const weightOf = (state: Pick<JobState, "tenant" | "created_ms" | "priority" | "reserved">): Weight => ({
  tenant: state.tenant,
  createdMs: state.created_ms,
  priority: state.priority,
  ...tokensOf(state),
});

const tokensOf = ({ reserved }: Pick<JobState, "reserved">): Tokens => ({
  promptTokens: reserved.prompt_tokens,
  completionTokens: reserved.completion_tokens,
});

const sum = (reports: WorkerReport[], rate: (report: WorkerReport) => number | null): number =>
  reports.reduce((total, report) => total + (rate(report) ?? 0), 0);

function sequenceMemory(report: WorkerReport, promptTokens: number, newTokens: number): SequenceMemory {
  const { sequence_bytes: points, new_token_bytes, capacity_bytes: capacity } = report;
  const found = points.findIndex((point) => point.prompt_tokens >= promptTokens);
  // Beyond the last point the line of the last two goes on.
  const above = Math.max(1, found === -1 ? points.length - 1 : found);
  const [low, high] = [points[above - 1], points[above] ?? points[above - 1]];
  const at = (of: "device" | "host"): number => {
    if (low === undefined || high === undefined) return 0;
    const width = Math.max(1, high.prompt_tokens - low.prompt_tokens);
    const share = (promptTokens - low.prompt_tokens) / width;
    return Math.ceil(low.bytes[of] + share * (high.bytes[of] - low.bytes[of]) + newTokens * new_token_bytes[of]);
  };
  const bytes = { device: at("device"), host: at("host") };
  return { fits: bytes.device <= capacity.device && bytes.host <= capacity.host, bytes, capacity };
}
