import { readFile } from "node:fs/promises";

/**
 * Another after each start of the machine. Nothing here waits until the disk has what was written, which would cost as
 * much as a download: so what was written before the machine last started is not trusted.
 */
export const bootId = (): Promise<string> =>
  readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => String(process.ppid));
