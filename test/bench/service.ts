// `npm run bench:service`: the api process on embedded state, as it is shipped, under load from beside it. Fills the queue
// with nobody to empty it, then reads jobs at random. Options: --jobs N, --connections N, --reads SECONDS, --json.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startChild } from "../../infra/local/child.ts";
import { type Driven, drive } from "./drive.ts";

const { values } = parseArgs({
  options: {
    jobs: { type: "string", default: "50000" },
    connections: { type: "string", default: "16" },
    reads: { type: "string", default: "15" },
    json: { type: "boolean", default: false },
  },
});
const jobs = Number(values.jobs);
const connections = Number(values.connections);
const readSeconds = Number(values.reads);
/** Submits before the first look at the memory: by then every code path is compiled and every pool is full. */
const warmUp = Math.min(5_000, Math.floor(jobs / 10));

const say = (line: string) => void process.stderr.write(`${line}\n`);
const directory = await mkdtemp(join(tmpdir(), "gnomon-bench-"));
const api = startChild({
  name: "api",
  file: new URL("../../api/main.ts", import.meta.url),
  env: {
    ...process.env,
    GNOMON_STATE_DIR: directory,
    GNOMON_PORT: "0",
    GNOMON_LOG_LEVEL: "error",
    GNOMON_QUOTA_JOBS: "0",
  },
  onLine: (_, line) => say(line),
});

async function measure(url: string) {
  const body = JSON.stringify({
    document: { text: "The gate of the north wing is locked at nine. Its code is 4711. ".repeat(12) },
    question: "What is the code of the north gate?",
    max_tokens: 32,
    metadata: { team: "archive" },
  });
  const ids: string[] = [];
  const memory: { jobs: number; rss_bytes: number }[] = [];
  const submit = (count: number) =>
    drive({
      url,
      connections,
      next: (n) => (n < count ? { method: "POST", path: "/v1/jobs", body } : null),
      onAnswer({ status, body }) {
        if (status !== 202) throw new Error(`submit: ${status} ${body}`);
        ids.push(JSON.parse(body).id);
        if (ids.length % 5_000 === 0) say(`${ids.length} jobs queued`);
        if (ids.length % 10_000 === 0) void note();
      },
    });
  const note = async () => void memory.push({ jobs: ids.length, rss_bytes: await residentBytes(api.pid) });

  say(`submitting ${jobs} jobs over ${connections} connections`);
  await submit(warmUp);
  await note();
  const submits = await submit(jobs - warmUp);
  await note();

  say(`reading for ${readSeconds} s`);
  const end = performance.now() + readSeconds * 1000;
  const reads = await drive({
    url,
    connections,
    next: () =>
      performance.now() < end
        ? { method: "GET", path: `/v1/jobs/${ids[Math.floor(Math.random() * ids.length)]}` }
        : null,
    onAnswer({ status, body }) {
      if (status !== 200) throw new Error(`read: ${status} ${body}`);
    },
  });
  await note();
  return {
    cpus: availableParallelism(),
    queued_jobs: ids.length,
    body_bytes: body.length,
    connections,
    submit: figures(submits),
    read: figures(reads),
    memory,
  };
}

const figures = ({ requests, seconds, perSecond, p50Ms, p99Ms, maxMs }: Driven) => ({
  requests,
  seconds: round(seconds),
  per_second: round(perSecond),
  p50_ms: round(p50Ms),
  p99_ms: round(p99Ms),
  max_ms: round(maxMs),
});

const round = (value: number): number => Math.round(value * 10) / 10;

/** Of Linux only, as all that runs here. */
async function residentBytes(pid: number): Promise<number> {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) * 1024;
}

try {
  const { url = "" } = await api.ready;
  const report = await measure(url);
  if (values.json) console.log(JSON.stringify(report));
  else say(JSON.stringify(report, null, 2));
} finally {
  api.kill("SIGTERM");
  await api.ended;
  await rm(directory, { recursive: true });
}
