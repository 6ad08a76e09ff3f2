import { readdir, readFile } from "node:fs/promises";

/** Resident memory in bytes; 0 of a process that has ended. Of Linux alone. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
}

/** The children of this process whose command line has `file` in it. */
export async function childrenOf(file: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
      const isOurs = Number(/^PPid:\s+(\d+)$/m.exec(status)?.[1]) === process.pid;
      return isOurs && (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).includes(file) ? pid : null;
    }),
  );
  return found.filter((pid) => pid !== null);
}

const SAMPLE_MS = 100;

/** Samples the resident memory of the api and the worker, which this process has started. */
export async function watchMemory() {
  const names = { api: "api/main.ts", worker: "worker/main.ts" };
  const pids = { api: (await childrenOf(names.api))[0] ?? 0, worker: (await childrenOf(names.worker))[0] ?? 0 };
  let peak = { api: 0, worker: 0 };
  const sample = async () => {
    const [api, worker] = await Promise.all([residentBytes(pids.api), residentBytes(pids.worker)]);
    peak = { api: Math.max(peak.api, api), worker: Math.max(peak.worker, worker) };
  };
  const timer = setInterval(() => void sample(), SAMPLE_MS);
  await sample();
  return {
    /** The most since it was asked last, in MB. */
    async takePeakMb() {
      await sample();
      const mb = (bytes: number) => Math.round(bytes / 1e6);
      const taken = { api: mb(peak.api), worker: mb(peak.worker) };
      peak = { api: 0, worker: 0 };
      return taken;
    },
    stop: () => clearInterval(timer),
  };
}
