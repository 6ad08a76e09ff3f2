import { AppError, ERRORS } from "../../api/contract/errors.ts";
import type { JobFailure } from "../../api/contract/job.ts";
import type { BatchStore } from "../../api/state/batches/batch-store.ts";
import type { DocumentStore } from "../../api/state/documents/document-store.ts";
import type { JobQueue, ReceivedMessage } from "../../api/state/job-queue.ts";
import type { Claim } from "../../api/state/jobs/job-claims.ts";
import { attemptsAllowed } from "../../api/state/jobs/job-record.ts";
import type { JobStore } from "../../api/state/jobs/job-store.ts";
import type { Engine } from "../../native/index.ts";
import type { Prompts } from "../../native/prompt/prompt.ts";
import { startBatchPart } from "../batch/batch-part.ts";
import { attemptsExhausted, backoffMs, isEngineDead, toAppError } from "../failure.ts";
import { JobStopped, type Leases } from "../lease/lease.ts";
import { type JobRun, type RunControl, startJob } from "./run-job.ts";
import { streamText, type TextStreamDeps } from "./text-stream.ts";

export type AttemptDeps = TextStreamDeps & {
  jobs: JobStore;
  batches: BatchStore;
  newId: () => string;
  documents: Pick<DocumentStore, "getDocumentText">;
  queue: Pick<JobQueue, "extend" | "delete">;
  engine: Engine;
  prompts: Prompts;
  /** The model that the engine has loaded. */
  model: string;
  limits: { maxAttempts: number; streamMs: number };
  leases: Leases;
  /** The engine is unusable: the process should give its jobs back and end. */
  onEngineDead: (error: AppError) => void;
};

export type AttemptLog = Record<"debug" | "info" | "warn" | "error", (fields: object, message: string) => void>;

/**
 * One attempt at a claimed job, from its request to its settlement. The order makes delivery at least once an effect
 * exactly once: result, then state, then the message. `control.signal` gives the job back.
 */
export async function runAttempt(
  claim: Claim,
  message: ReceivedMessage,
  deps: AttemptDeps,
  control: RunControl,
  log: AttemptLog,
): Promise<void> {
  const { jobs, queue, limits, leases } = deps;
  const { receipt } = message;
  const lease = leases.hold(claim, receipt, log);
  let run: JobRun | null = null;
  let latest = claim.state.progress;
  const partial = async () => (await run?.partial()) ?? null;
  const text = streamText(
    { claim: lease.claim, progress: () => latest, texts: async () => (await run?.texts()) ?? [], log },
    deps,
  );
  try {
    const signal = AbortSignal.any([control.signal, lease.stopped]);
    const onProgress: RunControl["onProgress"] = (progress) => {
      latest = progress;
      lease.report(progress);
      control.onProgress(progress);
    };
    run = await startRun(claim, { ...deps, log }, { ...control, signal, onProgress });
    const result = await run.result;
    await text.end();
    const settled = await jobs.settleSucceeded(await lease.end(), result);
    if (settled === null) throw new AppError("lease_lost", "lost between the run and its settlement");
    log.info({ usage: result.usage }, "job succeeded");
    await queue.delete(receipt);
    await text.remove();
  } catch (thrown) {
    await text.end();
    const held = await lease.end();
    const stop: unknown = lease.stopped.aborted ? lease.stopped.reason : null;
    if (stop instanceof JobStopped) return settleStopped(held, stop.status);
    const error = toAppError(stop ?? thrown);
    if (error.code === "lease_lost") return log.warn({ reason: error.message }, "lease lost, run stopped");
    // The stop of a worker is not the job's fault.
    if (control.signal.aborted) return giveBack(held, 0, "job given back", { isSpent: false });

    if (isEngineDead(thrown)) deps.onEngineDead(error);
    const failure = finalFailure(error, claim.state);
    if (failure === null) {
      log.warn({ err: error }, "attempt failed");
      const how = { isSpent: true, isSuspect: isEngineDead(thrown) };
      return giveBack(held, backoffMs(claim.state.attempt), "job given back to try again", how);
    }
    log.error({ err: error, code: failure.code }, "job failed");
    if ((await jobs.settleFailed(held, failure)) !== null) await queue.delete(receipt);
    await text.remove();
  }

  /** Ended by its client or its time: what was generated until then is kept. */
  async function settleStopped(held: Claim, status: JobStopped["status"]): Promise<void> {
    const soFar = await partial();
    if ((await jobs.settleStopped(held, status, soFar)) !== null) await queue.delete(receipt);
    log.info({ status, completion_tokens: soFar?.usage.completion_tokens ?? 0 }, "job stopped");
    await text.remove();
  }

  async function giveBack(
    held: Claim,
    delayMs: number,
    why: string,
    how: Parameters<JobStore["release"]>[1],
  ): Promise<void> {
    await jobs.release(held, how);
    await queue.extend(receipt, delayMs);
    log.info({ delay_ms: delayMs }, why);
  }

  /** What to fail the job with; null if it is worth another attempt. */
  function finalFailure(error: AppError, state: Claim["state"]): JobFailure | null {
    const { attempt } = state;
    const readable = error.detail ?? `${ERRORS[error.code].title}.`;
    if (!error.retryable) return { code: error.code, message: readable };
    if (attempt < attemptsAllowed(state, limits.maxAttempts)) return null;
    return attemptsExhausted(attempt, readable);
  }
}

async function startRun(
  { state }: Claim,
  deps: AttemptDeps & { log: AttemptLog },
  control: RunControl,
): Promise<JobRun> {
  const { jobs, documents, engine, prompts, model } = deps;
  // A worker that died between result and state left the answer behind.
  const earlier = state.attempt > 1 ? await jobs.getResult(state.tenant, state.id) : null;
  if (earlier !== null) {
    const texts = earlier.answers.map(({ answer }) => answer);
    return { result: Promise.resolve(earlier), partial: async () => earlier, texts: async () => texts };
  }

  const request = await jobs.getRequest(state.tenant, state.id);
  if (request === null) throw new AppError("job_not_found", "request.json is gone");
  if (request.model !== model) {
    const detail = `The job is for model ${request.model}, and its worker serves ${model}.`;
    throw new AppError("model_not_found", detail, { detail });
  }
  const part = startBatchPart(state, request, deps, control);
  if (part !== null) return part;
  const texts: string[] = [];
  for (const id of request.input.document_ids) {
    const text = await documents.getDocumentText(state.tenant, id);
    if (text === null) {
      const detail = `Document ${id} was deleted before the job ran.`;
      throw new AppError("document_not_found", detail, { detail });
    }
    texts.push(text);
  }
  const { id, tenant, attempt } = state;
  return startJob({ id, tenant, attempt, request, documents: texts }, { engine, prompts }, control);
}
