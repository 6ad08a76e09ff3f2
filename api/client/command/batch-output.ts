import { open, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { UsageError } from "./errors.ts";

/** What a run leaves beside its output, for the next one to go on from. */
const BatchRun = z.object({
  /** SHA-256 of the input: another input is another batch. */
  input: z.string(),
  file: z.string(),
  batch: z.string().nullable(),
  /** The results up to here are in the output, which has so many bytes of them. */
  cursor: z.string(),
  bytes: z.int(),
  /** The batch is over, and the output has all of it. */
  is_over: z.boolean(),
});
export type BatchRun = z.infer<typeof BatchRun>;

/** The output of a batch as it grows, and its state beside it. */
export function createBatchOutput(path: string) {
  const statePath = `${path}.state.json`;

  async function save(run: BatchRun): Promise<void> {
    await writeFile(`${statePath}.part`, JSON.stringify(run), { flush: true });
    await rename(`${statePath}.part`, statePath);
  }

  return {
    path,
    statePath,

    save,

    /** Throws UsageError where it cannot be written. What is in it stays. */
    async create(): Promise<void> {
      const file = await open(path, "a").catch(({ code }: NodeJS.ErrnoException) => {
        throw new UsageError(
          code === "ENOENT"
            ? `There is no folder ${dirname(path)} for the results.`
            : `Cannot write ${path} (${code}).`,
        );
      });
      await file.close();
    },

    /** Moves what is in it to a file of its own, whose path it returns, so that another batch can begin. Null if it is empty. */
    async setAside(): Promise<string | null> {
      const found = await stat(path);
      if (!found.isFile() || found.size === 0) return null;
      for (let number = 1; ; number++) {
        const aside = `${path}.${number}`;
        if ((await stat(aside).catch(() => null)) !== null) continue;
        await rename(path, aside);
        return aside;
      }
    },

    /** Of this input; null if there was none. */
    async load(input: string): Promise<BatchRun | null> {
      const text = await readFile(statePath, "utf8").catch(() => "null");
      try {
        const run = BatchRun.parse(JSON.parse(text));
        if (run.input !== input) return null;
        // The output was removed, or cut: the service has its results still, and they are read from the first on.
        const { size } = await stat(path).catch(() => ({ size: 0 }));
        return size < run.bytes ? { ...run, cursor: "", bytes: 0 } : run;
      } catch {
        return null;
      }
    },

    /** Puts lines after those that the state knows of: what a crash has left behind them is written over. */
    async append(
      run: BatchRun,
      lines: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
      cursor: string,
    ): Promise<BatchRun> {
      // Not "a": where the writing begins is the state's to say.
      const file = await open(path, "r+").catch(() => open(path, "w+"));
      let { bytes } = run;
      try {
        await file.truncate(bytes);
        for await (const chunk of lines) bytes += (await file.write(chunk, 0, chunk.byteLength, bytes)).bytesWritten;
        await file.datasync();
      } finally {
        await file.close();
      }
      const next = { ...run, cursor, bytes };
      await save(next);
      return next;
    },
  };
}

export type BatchOutput = ReturnType<typeof createBatchOutput>;
