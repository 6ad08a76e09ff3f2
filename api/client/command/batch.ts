import { createHash } from "node:crypto";
import { createReadStream, openAsBlob } from "node:fs";
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { pipeline } from "node:stream/promises";
import { isBatchOver } from "../../contract/batch.ts";
import type { Batch } from "../../contract/batch-resource.ts";
import { pause } from "../pause.ts";
import { ProblemError } from "../problem-error.ts";
import { batchLine, batchProgress, errorLines, quoteLine } from "./batch-lines.ts";
import { type BatchOutput, type BatchRun, createBatchOutput } from "./batch-output.ts";
import { createCommand, type Run } from "./command.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./errors.ts";
import { EXIT } from "./exit-status.ts";
import { interruptible } from "./interruptible.ts";

const POLL_MS = 1_000;
/** At the same results, where the connection breaks each time. */
const READ_TRIES = 5;
const NEW_BATCH = { endpoint: "/v1/chat/completions", completion_window: "24h" } as const;

export const batchCommand = (run: Run) =>
  createCommand("batch", "run every line of a file, as OpenAI's batches do, and collect the results as they come")
    .argument("<file.jsonl>", "lines of custom_id, method, url and body, for /v1/chat/completions")
    .option("-o, --output <file>", "where the results go (default: FILE-results.jsonl)")
    .option("--dry-run", "only check every line, and say what the batch would take")
    .option("--no-wait", "start it and print its id; the same command collects the results later")
    .action((path, options) =>
      run(options, async (context) => {
        const found = await stat(path).catch(() => null);
        if (found?.isFile() !== true) throw new UsageError(`There is no file ${path}.`);
        if (found.size === 0) throw new UsageError(`${path} is empty.`);
        if (options.dryRun) return dryRun(context, path);
        const output = createBatchOutput(options.output ?? `${path.replace(/\.jsonl$/, "")}-results.jsonl`);
        const begun = await begin(context, path, output);
        if (options.wait) return collect(context, begun, output);
        context.terminal.print(context.json ? JSON.stringify(begun.batch) : begun.batch.id);
        return EXIT.done;
      }),
    );

type Begun = { batch: Batch; run: BatchRun };

/** The batch of this file and output: the one that an earlier run began, or a new one. */
async function begin(context: Context, path: string, output: BatchOutput): Promise<Begun> {
  const { note } = context;
  const input = await hashOf(path);
  const known = await output.load(input);
  const earlier = known && (await findBatch(context, known));
  // One that is over and was not completed is what this run is to do better.
  if (known && earlier && (earlier.status === "completed" || !known.is_over)) {
    note(`Going on with batch ${earlier.id}.`);
    return { batch: earlier, run: { ...known, batch: earlier.id } };
  }
  // Written down before the batch is made: a crash in between leaves the file to make it of.
  const file = await upload(context, path);
  const run: BatchRun = { input, file, batch: null, cursor: "", bytes: 0, is_over: false };
  await output.save(run);
  const batch = await makeBatch(context, file);
  await output.save({ ...run, batch: batch.id });
  note(`Batch ${batch.id}.`);
  return { batch, run: { ...run, batch: batch.id } };
}

/** Of a file that was uploaded for this batch alone, so that its id can stand for it: repeating makes no other. */
const makeBatch = ({ client }: Context, file: string): Promise<Batch> =>
  client.batches.create({ ...NEW_BATCH, input_file_id: file }, `gnomon-${file}`);

async function findBatch(context: Context, { batch, file }: BatchRun): Promise<Batch | null> {
  const found = batch === null ? makeBatch(context, file) : context.client.batches.get(batch);
  return found.catch((error: unknown) => {
    if (error instanceof ProblemError && error.status === 404) return null;
    throw error;
  });
}

async function upload({ client, progress }: Context, path: string): Promise<string> {
  const content = await openAsBlob(path);
  const name = basename(path);
  try {
    const onBytes = (value: number) =>
      progress.show([{ name: "upload", value, total: content.size, unit: "byte", note: name }]);
    return (await client.batches.upload(content, name, onBytes)).id;
  } finally {
    progress.stop();
  }
}

/** Writes each result as it comes, until the batch is over. */
async function collect(context: Context, { batch: first, run: begun }: Begun, output: BatchOutput): Promise<number> {
  const { client, terminal, progress, json, note } = context;
  const { id } = first;
  let run = begun;

  async function follow(signal: AbortSignal): Promise<Batch> {
    let isTold = false;
    for (let batch = first; ; batch = await client.batches.get(id)) {
      if (!isTold && batch.errors !== undefined && batch.status === "in_progress") {
        isTold = true;
        progress.stop();
        for (const line of [...errorLines(batch), "The other lines run."]) note(line);
      }
      progress.show(batchProgress(batch));
      // Read before what is left of them, so that the last look has all.
      const isOver = isBatchOver(batch.status);
      run = await readOn(run);
      if (isOver) {
        await output.save({ ...run, is_over: true });
        return batch;
      }
      await pause(POLL_MS, signal);
    }
  }

  /** Results up to now. A connection that breaks among them costs nothing: what it brought is written over. */
  async function readOn(from: BatchRun): Promise<BatchRun> {
    for (let tries = 1; ; tries++) {
      try {
        const { lines, next } = await client.batches.results(id, from.cursor);
        return await output.append(from, lines ?? [], next);
      } catch (error) {
        if (!(error instanceof TypeError) || tries === READ_TRIES) throw error;
        await pause(POLL_MS, undefined);
      }
    }
  }

  const options = {
    terminal,
    progress,
    what: `batch ${id}`,
    cancel: () => client.batches.cancel(id),
    later: "The same command goes on from here.",
  };
  const ended = await interruptible(options, follow).finally(() => progress.stop());
  return report({ terminal, json }, ended);
}

function report({ terminal, json }: Pick<Context, "terminal" | "json">, batch: Batch): number {
  if (json) terminal.print(JSON.stringify(batch));
  else {
    // Of one that ran they stand among its results.
    for (const line of [...(batch.status === "failed" ? errorLines(batch) : []), batchLine(batch)])
      terminal.print(line);
  }
  if (batch.status === "failed") return EXIT.refused;
  return batch.status === "completed" && batch.request_counts.failed === 0 ? EXIT.done : EXIT.failed;
}

async function dryRun(context: Context, path: string): Promise<number> {
  const { client, terminal, progress, json } = context;
  const file = await upload(context, path);
  let batch = await client.batches.create({ ...NEW_BATCH, input_file_id: file, dry_run: true });
  for (; !isBatchOver(batch.status); batch = await client.batches.get(batch.id)) {
    progress.show([{ name: "checking", value: 0, total: 0, unit: "line", note: batch.status }]);
    await pause(POLL_MS, undefined);
  }
  progress.stop();
  if (json) terminal.print(JSON.stringify(batch));
  else {
    for (const line of [...errorLines(batch), ...(batch.status === "failed" ? [] : [quoteLine(batch)])]) {
      terminal.print(line);
    }
  }
  return batch.errors === undefined && batch.status === "completed" ? EXIT.done : EXIT.refused;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
