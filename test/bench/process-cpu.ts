import { readdir, readFile } from "node:fs/promises";

/** Of Linux on the processors that the engine runs on. */
const TICKS_PER_SECOND = 100;

/** CPU seconds of a process by the names of its threads, those of one name together. Threads that ended are not in it. */
export async function cpuSecondsByThread(pid: number): Promise<Record<string, number>> {
  const seconds = new Map<string, number>();
  for (const thread of await readdir(`/proc/${pid}/task`).catch(() => [])) {
    const stat = await readFile(`/proc/${pid}/task/${thread}/stat`, "utf8").catch(() => "");
    // The name stands in brackets, and may have any characters in it.
    const [, name = "", rest = ""] = /^\d+ \((.*)\) (.*)$/s.exec(stat) ?? [];
    const [user = 0, system = 0] = rest.split(" ").slice(11, 13).map(Number);
    const known = Number(thread) === pid ? "main" : name;
    seconds.set(known, (seconds.get(known) ?? 0) + (user + system) / TICKS_PER_SECOND);
  }
  const rounded = [...seconds].map(([name, value]) => [name, Math.round(value * 10) / 10] as const);
  return Object.fromEntries(rounded.filter(([, value]) => value > 0).toSorted(([, a], [, b]) => b - a));
}
