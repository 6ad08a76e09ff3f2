import { type BatchState, isBatchOver } from "../../contract/batch.ts";
import { BatchInputLine, UNFINISHED_CODES } from "../../contract/batch-line.ts";
import { JobState } from "../../contract/job.ts";
import { JobRequest } from "../../contract/job-request.ts";
import { keys } from "../../contract/keys.ts";
import { limits } from "../../contract/limits.ts";
import { type JsonLine, jsonLines } from "../json-lines.ts";
import type { ObjectStore } from "../object-store.ts";
import { readRecord } from "../record.ts";
import type { createBatchFiles } from "./batch-files.ts";
import { advanceBatch, NOTHING_RAN, refused, whyUnfinished } from "./batch-record.ts";
import { resultId, type ShardResults } from "./batch-results.ts";
import type { BatchStore } from "./batch-store.ts";

type Deps = {
  objects: ObjectStore;
  batches: BatchStore;
  batchFiles: ReturnType<typeof createBatchFiles>;
  /** Told of a batch that is over, at least once. */
  onOver: (batch: BatchState) => Promise<void>;
  now: () => number;
};

/** Lines without a shard whose results lie together. */
const REST_LINES = 1_000;

type Failure = { code: string; message: string };

export type BatchEnd = ReturnType<typeof createBatchEnd>;

/**
 * Takes note of the end of each job of a batch, and ends the batch with the last of them. Whoever ended a job does it, so
 * it can happen twice at once, or break off and be repeated: every step gives the same again.
 */
export function createBatchEnd({ objects, batches, batchFiles, onOver, now }: Deps) {
  const { parts } = batches;

  /** Gives a result to each of these lines of a shard that has none. */
  async function fill(
    batch: BatchState,
    results: ShardResults,
    lines: AsyncIterable<JsonLine> | Iterable<JsonLine>,
    why: Failure,
  ): Promise<void> {
    const added = [];
    for await (const { number, text } of lines) {
      if (results.of(number) !== null) continue;
      const { custom_id } = BatchInputLine.parse(JSON.parse(text ?? ""));
      added.push({ id: resultId(batch.id, number), custom_id, response: null, error: why });
    }
    await results.append(added);
  }

  async function shardEnded(batch: BatchState, state: JobState, shard: number): Promise<void> {
    const results = await batches.openResults(batch, shard);
    const { completed, failed } = results.counts();
    if (completed + failed < state.progress.questions_total) {
      const request = (await readRecord(objects, keys.jobRequest(batch.tenant, state.id), JobRequest))?.value;
      if (request?.input.kind === "shard") {
        const { first_line, start_byte, end_byte } = request.input;
        const bytes = await batches.readInputRange(batch, start_byte, end_byte);
        const lines = jsonLines([bytes], limits.requestBodyBytes, { line: first_line, byte: start_byte });
        await fill(batch, results, lines, whyUnanswered(batch, state));
      }
    }
    await parts.done(batch, shard, results.counts());
    await parts.close(batch, { shard, job: state.id });
  }

  function whyUnanswered(batch: BatchState, state: JobState): Failure {
    return (batch.status === "in_progress" ? failureOf(state) : null) ?? whyUnfinished(batch, now());
  }

  /** For lines that no shard has brought to an end; a few at a time, each in the place that is its own. */
  async function fillRest(batch: BatchState): Promise<void> {
    const ended = await batchFiles.finishedLines(batch);
    const why = whyUnfinished(batch, now());
    let index = 0;
    let rest: JsonLine[] = [];
    for await (const line of jsonLines(await batches.readInput(batch), limits.requestBodyBytes)) {
      if (!ended.has(line.number)) rest.push(line);
      index += 1;
      if (index % REST_LINES === 0) await put();
    }
    await put();

    async function put(): Promise<void> {
      if (rest.length === 0) return;
      // Beside those of the shards.
      const place = batch.shards + Math.floor((index - 1) / REST_LINES);
      await fill(batch, await batches.openResults(batch, place), rest, why);
      rest = [];
    }
  }

  async function checkEnded(batch: BatchState, state: JobState): Promise<void> {
    await batches.change(batch.tenant, batch.id, (current) => {
      if (current.status !== "validating") return null;
      if (state.status === "cancelled") return advanceBatch(current, "cancelling", now());
      if (state.status === "expired") return advanceBatch(current, "expired", now(), NOTHING_RAN);
      const message = state.error?.message ?? "The lines could not be validated.";
      return refused(current, [{ code: "validation_failed", line: null, message, param: null }], now());
    });
    // It, or an attempt before the last, may have ended between announcing a shard and submitting it.
    for (const part of await parts.listOpen(batch)) {
      const job = await readRecord(objects, keys.jobState(batch.tenant, part.job), JobState);
      if (job === null) await parts.close(batch, part);
    }
    await tellIfOver(batch);
    await parts.close(batch, { shard: null, job: state.id });
  }

  /** Ends the batch if none of its jobs is left. */
  async function endIfLast({ tenant, id }: BatchState): Promise<void> {
    if ((await parts.listOpen({ tenant, id }, 1)).length > 0) return;
    const batch = await batches.change(tenant, id, (current) =>
      // One that is being cancelled has no use for it.
      current.status === "in_progress" ? advanceBatch(current, "finalizing", now()) : null,
    );
    if (batch !== null && (batch.status === "finalizing" || batch.status === "cancelling")) await finishOnce(batch);
  }

  /** Of the batches that this process is finishing: the last jobs of a batch often end at the same time. */
  const finishing = new Map<string, Promise<void>>();

  function finishOnce(batch: BatchState): Promise<void> {
    const begun = finishing.get(batch.id);
    if (begun !== undefined) return begun;
    const done = finish(batch).finally(() => finishing.delete(batch.id));
    finishing.set(batch.id, done);
    return done;
  }

  async function finish(batch: BatchState): Promise<void> {
    const { tenant, id } = batch;
    const { completed, failed } = await parts.counts(batch);
    if (completed + failed < batch.lines) await fillRest(batch);
    const files = await batchFiles.write(batch);
    const status = batch.status === "cancelling" ? "cancelled" : files.hasExpired ? "expired" : "completed";
    await batches.change(tenant, id, (current) => advanceBatch(current, status, now(), files.summary));
    await tellIfOver(batch);
  }

  async function tellIfOver({ tenant, id }: BatchState): Promise<void> {
    const batch = await batches.get(tenant, id);
    if (batch !== null && isBatchOver(batch.status)) await onOver(batch);
  }

  return {
    endIfLast,

    /** Told of every job that ends, at least once. */
    async jobEnded(state: JobState): Promise<void> {
      if (state.batch === null) return;
      const { id, shard } = state.batch;
      const batch = await batches.get(state.tenant, id);
      if (batch === null || isBatchOver(batch.status)) {
        if (batch !== null) await onOver(batch);
        return parts.close({ tenant: state.tenant, id }, { shard, job: state.id });
      }
      await (shard === null ? checkEnded(batch, state) : shardEnded(batch, state, shard));
      await endIfLast(batch);
    },
  };
}

/** What is said of the lines of a shard whose job ended before they did; null where the whole batch says it. */
function failureOf({ status, error }: JobState): Failure | null {
  if (status === "failed") return error ?? { code: "internal", message: "The shard failed." };
  if (status !== "cancelled") return null;
  return { code: UNFINISHED_CODES.cancelled, message: "The job that was to answer this line was cancelled." };
}
