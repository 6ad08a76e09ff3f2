import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
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
import { statOf } from "./source-file.ts";
import { sending } from "./upload.ts";
import { batchExit, BATCH_POLL_MS as POLL_MS, waitForBatch } from "./wait-for-batch.ts";
import { openWatched } from "./watched-file.ts";

/** At the same results, where the connection breaks each time. */
const READ_TRIES = 5;
/** Of the faults of a batch that is run: more would push what follows off the screen. */
const MOST_ERRORS = 20;
const NEW_BATCH = { endpoint: "/v1/chat/completions", completion_window: "24h" } as const;

export const batchCommand = (run: Run) =>
  createCommand("batch", "run every line of a file, as OpenAI's batches do, and collect the results as they come")
    .argument("<file.jsonl>", "lines of custom_id, method, url and body, for /v1/chat/completions")
    .option("-o, --output <file>", "where the results go (default: FILE-results.jsonl)")
    .option("--dry-run", "only check every line, and say what the batch would take")
    .option("--no-wait", "start it and print its id; the same command collects the results later")
    .addHelpText("after", EXAMPLE)
    .action((path, options) =>
      run(options, async (context) => {
        await assertInput(path);
        if (options.dryRun) return dryRun(context, path);
        const output = createBatchOutput(options.output ?? `${path.replace(/\.jsonl$/, "")}-results.jsonl`);
        // Before anything is sent, or paid for.
        await output.create();
        const begun = await begin(context, path, output);
        if (options.wait) return collect(context, begun, output);
        context.terminal.print(context.json ? JSON.stringify(begun.batch) : begun.batch.id);
        return EXIT.done;
      }),
    );

const EXAMPLE = `
A line of it:
  {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions",
   "body": {"model": "needle", "messages": [{"role": "user", "content": "..."}]}}`;

/** It is read more than once: to tell whether it is that of an earlier run, and to send it. */
async function assertInput(path: string): Promise<void> {
  if (path === "-")
    throw new UsageError("A batch is a file, for its results to stand beside: write what is piped to one.");
  const found = await statOf(path);
  if (found.isDirectory()) throw new UsageError(`${path} is a folder: a batch is a file of JSON lines.`);
  if (!found.isFile()) throw new UsageError(`${path} is no file that can be read twice: write it to one.`);
  if (found.size === 0) throw new UsageError(`${path} is empty.`);
}

type Begun = { batch: Batch; run: BatchRun };

/** The batch of this file and output: the one that an earlier run began, or a new one. */
async function begin(context: Context, path: string, output: BatchOutput): Promise<Begun> {
  const { note } = context;
  const input = await hashOf(path);
  const known = await output.load(input);
  const earlier = known && (await findBatch(context, known));
  // One that is over and was not completed is what this run is to do better.
  if (known && earlier && (earlier.status === "completed" || !known.is_over)) {
    note(
      known.is_over
        ? `${path} was run before, as batch ${earlier.id}: remove ${output.statePath} to run it again.`
        : `Going on with batch ${earlier.id}.`,
    );
    return { batch: earlier, run: { ...known, batch: earlier.id } };
  }
  // What was answered and paid for before is nobody's to overwrite.
  const aside = await output.setAside();
  if (aside !== null) note(`What was in ${output.path} is in ${aside} now.`);
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

async function upload(context: Context, path: string): Promise<string> {
  const name = basename(path);
  const { size: bytes } = await statOf(path);
  const upload = async (onBytes: (sent: number) => void) =>
    context.client.batches.upload(await openWatched(path, name, onBytes));
  return (await sending(context, { name, bytes }, upload)).id;
}

/** Writes each result as it comes, until the batch is over. */
async function collect(context: Context, { batch: first, run: begun }: Begun, output: BatchOutput): Promise<number> {
  const { client, terminal, progress, json, note } = context;
  const { id } = first;
  let run = begun;

  async function follow(signal: AbortSignal): Promise<Batch> {
    let isTold = false;
    for (let batch = first; ; batch = await client.batches.get(id)) {
      if (!isTold && batch.errors !== undefined && batch.status !== "failed") {
        isTold = true;
        progress.stop();
        const others = isBatchOver(batch.status) ? [] : ["The other lines run."];
        for (const line of [...errorLines(batch, MOST_ERRORS), ...others]) note(line);
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
  const status = report({ terminal, json }, ended);
  if (run.bytes > 0) note(`The results are in ${output.path}.`);
  return status;
}

function report({ terminal, json }: Pick<Context, "terminal" | "json">, batch: Batch): number {
  if (json) terminal.print(JSON.stringify(batch));
  else {
    // Of one that ran they stand among its results.
    for (const line of [...(batch.status === "failed" ? errorLines(batch, MOST_ERRORS) : []), batchLine(batch)]) {
      terminal.print(line);
    }
  }
  return batchExit(batch);
}

async function dryRun(context: Context, path: string): Promise<number> {
  const { client, terminal, json } = context;
  const file = await upload(context, path);
  const begun = await client.batches.create({ ...NEW_BATCH, input_file_id: file, dry_run: true });
  const batch = await waitForBatch(context, begun, ({ status }) => [
    { name: "checking", value: 0, total: 0, unit: "line", note: status },
  ]);
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
