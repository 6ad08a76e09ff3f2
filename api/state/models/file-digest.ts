import { Worker } from "node:worker_threads";

export type Digest = { algorithm: "md5" | "sha256"; hex: string };

/** Of a whole file, on a thread of its own: gigabytes take seconds. */
export function digestFile(path: string, algorithm: Digest["algorithm"]): Promise<string> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL("./file-digest-thread.ts", import.meta.url), { workerData: { path, algorithm } });
    thread.once("message", resolve);
    thread.once("error", reject);
  });
}
