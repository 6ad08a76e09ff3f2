// `npm run bench:model-fetch`: what reading many ranges at once is worth where each connection is slow, as S3's are, and
// how fast this process can read at all. The server is on this machine and speaks S3's GET and list, no TLS: no figure
// here is one of S3. Options: --mib N, --connection-mib-per-second N.
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { createS3Client } from "../../api/state/aws/clients.ts";
import { createS3ModelStore } from "../../api/state/aws/s3-model-store.ts";
import { downloadModel } from "../../api/state/models/model-download.ts";

const MIB = 1024 * 1024;

if (isMainThread) await bench();
else serve(workerData);

async function bench(): Promise<void> {
  const { values } = parseArgs({
    options: { mib: { type: "string", default: "256" }, "connection-mib-per-second": { type: "string", default: "8" } },
  });
  const bytes = Number(values.mib) * MIB;
  const limit = Number(values["connection-mib-per-second"]) * MIB;
  process.env.AWS_ACCESS_KEY_ID ??= "test";
  process.env.AWS_SECRET_ACCESS_KEY ??= "test";
  const runs = [];
  for (const [bytesPerSecond, atOnce] of [
    [limit, 1],
    [limit, 8],
    [limit, 64],
    [0, 64],
  ] as const) {
    // Of one slow connection a part is enough to know its speed.
    const share = bytesPerSecond > 0 && atOnce === 1 ? bytes / 8 : bytes;
    const { seconds, cpuSeconds } = await run(share, bytesPerSecond, atOnce);
    runs.push({
      connection_bytes_per_second: bytesPerSecond || null,
      ranges_at_once: atOnce,
      bytes: share,
      bytes_per_second: Math.round(share / seconds),
      // No process can read faster than that, without TLS; the server's thread and the writing ones are not in it.
      bytes_per_cpu_second: Math.round(share / cpuSeconds),
    });
  }
  console.log(JSON.stringify(runs, null, 2));
}

async function run(bytes: number, bytesPerSecond: number, atOnce: number) {
  const server = new Worker(new URL(import.meta.url), { workerData: { bytes, bytesPerSecond } });
  const port = await new Promise<number>((resolve) => server.once("message", resolve));
  const client = createS3Client({ region: "us-east-1", endpoint: `http://127.0.0.1:${port}`, connections: atOnce });
  const folder = await mkdtemp(join(tmpdir(), "gnomon-bench-"));
  try {
    const store = createS3ModelStore({ client, bucket: "models", prefix: "m/", part: "all" });
    const file = { name: "model.safetensors", bytes, etag: '"1"', modifiedMs: 0, digest: null };
    const digests = { remember: async () => {} };
    const start = performance.now();
    const cpu = process.threadCpuUsage();
    await downloadModel({ store, files: [file], folder: join(folder, "m"), digests, onBytes() {}, atOnce });
    const { user, system } = process.threadCpuUsage(cpu);
    return { seconds: (performance.now() - start) / 1000, cpuSeconds: (user + system) / 1e6 };
  } finally {
    client.destroy();
    await server.terminate();
    await rm(folder, { recursive: true });
  }
}

/** Answers ranges with zeros, each connection no faster than it may be. */
function serve({ bytes, bytesPerSecond }: { bytes: number; bytesPerSecond: number }): void {
  const piece = Buffer.alloc(256 * 1024);
  const server = createServer((request, response) => {
    const [, start = 0, end = bytes - 1] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "")?.map(Number) ?? [];
    const length = end - start + 1;
    response.writeHead(206, { "content-length": length, etag: '"1"' });
    void send(response, length).catch(() => response.destroy());
  }).listen(0, "127.0.0.1", () => parentPort?.postMessage((server.address() as AddressInfo).port));

  async function send(response: ServerResponse, length: number): Promise<void> {
    const started = performance.now();
    for (let sent = 0; sent < length; sent += piece.length) {
      const drained = response.write(piece.subarray(0, Math.min(piece.length, length - sent)));
      if (!drained) await new Promise((resolve) => response.once("drain", resolve));
      const aheadMs = bytesPerSecond === 0 ? 0 : (sent / bytesPerSecond) * 1000 - (performance.now() - started);
      if (aheadMs > 1) await delay(aheadMs);
    }
    response.end();
  }
}
