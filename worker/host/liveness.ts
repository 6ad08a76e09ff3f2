import { writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

type Options = { file: string; everyMs: number; now: () => number };
type Liveness = { stop(): Promise<void> };

const EVERY_MS = 10_000;

/** By GNOMON_LIVENESS_FILE; null where it names no file. */
export const keepLiveness = async (
  { GNOMON_LIVENESS_FILE: file }: { GNOMON_LIVENESS_FILE?: string | undefined },
  now: () => number,
): Promise<Liveness | null> => (file === undefined ? null : startLiveness({ file, everyMs: EVERY_MS, now }));

/** Writes the time into a file again and again: who reads an old time there knows that the event loop hangs. */
export async function startLiveness({ file, everyMs, now }: Options): Promise<Liveness> {
  const stopping = new AbortController();
  const touch = () => writeFile(file, `${now()}\n`);
  // The first failure is the starter's to hear of: the file cannot be written at all.
  await touch();
  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await delay(everyMs, undefined, { signal: stopping.signal, ref: false }).catch(() => undefined);
      await touch().catch(() => undefined);
    }
  }
  const running = run();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
