import { z } from "zod";
import { residentBytes } from "./process-memory.ts";

const Probed = z.object({
  /** As V8 has it from the system; then, after a collection, what is alive and what is resident. */
  heap_total_bytes: z.int(),
  external_bytes: z.int(),
  live_heap_bytes: z.int(),
  live_external_bytes: z.int(),
  rss_collected_bytes: z.int(),
});
type Probed = z.infer<typeof Probed>;

/** Resident memory before a collection; the rest is there only where there was one. */
export type Memory = { rss_bytes: number } & Partial<Probed>;

/** Looks at the memory of a process that has heap-probe.mjs preloaded, and whose lines of output are given to `read`. */
export function openProbe() {
  let answered: (probed: Probed) => void = () => {};

  return {
    /** True if the line was the probe's. */
    read(line: string): boolean {
      if (!line.startsWith('{"probed"')) return false;
      answered(Probed.parse(JSON.parse(line).probed));
      return true;
    },

    async look(pid: number, collect: boolean): Promise<Memory> {
      const rss_bytes = await residentBytes(pid);
      if (!collect) return { rss_bytes };
      const probed = new Promise<Probed>((resolve) => {
        answered = resolve;
      });
      process.kill(pid, "SIGUSR2");
      return { rss_bytes, ...(await probed) };
    },
  };
}
