// A thread of file-digest.ts.
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";

const hash = createHash(workerData.algorithm);
const file = openSync(workerData.path, "r");
const buffer = Buffer.allocUnsafe(4 * 1024 * 1024);
for (let bytes = readSync(file, buffer); bytes > 0; bytes = readSync(file, buffer))
  hash.update(buffer.subarray(0, bytes));
closeSync(file);
parentPort?.postMessage(hash.digest("hex"));
