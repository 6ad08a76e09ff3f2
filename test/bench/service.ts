// `npm run bench:service`: the api process on embedded state, as it is shipped, under load from beside it. Fills the queue
// with nobody to empty it, then reads jobs at random. The figures of CPU time are of the api process, and hold on a busy
// machine too. At every 10,000 jobs it notes the resident memory and then, after a collection, what is alive; without
// --collect, which is on by default, V8 is left to itself and only the last note has both. Last, a worker in this process
// empties a queue of its own (worker.ts). Options: --jobs N, --documents N, --connections N, --reads SECONDS,
// --worker-jobs N, --no-collect, --json.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startChild } from "../../infra/local/child.ts";
import { type Driven, drive } from "./drive.ts";
import { type Memory, openProbe } from "./heap-probe.ts";
import { measureWorker } from "./worker.ts";

const { values } = parseArgs({
  allowNegative: true,
  options: {
    collect: { type: "boolean", default: true },
    jobs: { type: "string", default: "50000" },
    documents: { type: "string", default: "1000" },
    connections: { type: "string", default: "16" },
    reads: { type: "string", default: "15" },
    "worker-jobs": { type: "string", default: "2000" },
    json: { type: "boolean", default: false },
  },
});
const jobs = Number(values.jobs);
const documents = Number(values.documents);
const connections = Number(values.connections);
const workerJobs = Number(values["worker-jobs"]);
const readSeconds = Number(values.reads);
/** Submits before the first look at the memory: by then every code path is compiled and every pool is full. */
const warmUp = Math.min(5_000, Math.floor(jobs / 10));

const HEAP_PROBE = new URL("heap-probe.mjs", import.meta.url).href;

const say = (line: string) => void process.stderr.write(`${line}\n`);
const directory = await mkdtemp(join(tmpdir(), "gnomon-bench-"));
const probe = openProbe();
const api = startChild({
  name: "api",
  file: new URL("../../api/main.ts", import.meta.url),
  env: {
    ...process.env,
    GNOMON_STATE_DIR: directory,
    GNOMON_PORT: "0",
    GNOMON_LOG_LEVEL: "error",
    GNOMON_QUOTA_JOBS: "0",
    NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} --import=${HEAP_PROBE}`,
  },
  onLine: (_, line) => probe.read(line) || say(line),
});

async function measure(url: string) {
  const bodyOf = (n: number) => {
    const sentence = `The gate of the north wing is locked at nine. Its code is ${1_000_000 + (n % documents)}. `;
    return JSON.stringify({
      document: { text: sentence.repeat(12) },
      question: "What is the code of the north gate?",
      max_tokens: 32,
      metadata: { team: "archive" },
    });
  };
  const ids: string[] = [];
  const memory: ({ jobs: number } & Memory)[] = [];
  const submit = (count: number) =>
    drive({
      url,
      connections,
      next: (n) => (n < count ? { method: "POST", path: "/v1/jobs", body: bodyOf(n) } : null),
      onAnswer({ status, body }) {
        if (status !== 202) throw new Error(`submit: ${status} ${body}`);
        ids.push(JSON.parse(body).id);
        if (ids.length % 5_000 === 0) say(`${ids.length} jobs queued`);
        if (ids.length % 10_000 === 0) noting = noting.then(() => note(values.collect));
      },
    });
  let noting = Promise.resolve();
  const note = async (collect: boolean) =>
    void memory.push({ jobs: ids.length, ...(await probe.look(api.pid, collect)) });

  say(`submitting ${jobs} jobs over ${connections} connections`);
  await submit(warmUp);
  await note(values.collect);
  const beforeSubmitsMs = await cpuMs(api.pid);
  const submits = await submit(jobs - warmUp);
  const submitsMs = (await cpuMs(api.pid)) - beforeSubmitsMs;
  await noting;

  say(`reading for ${readSeconds} s`);
  const beforeReadsMs = await cpuMs(api.pid);
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
  const readsMs = (await cpuMs(api.pid)) - beforeReadsMs;
  await note(true);
  return {
    cpus: availableParallelism(),
    queued_jobs: ids.length,
    documents,
    body_bytes: bodyOf(0).length,
    connections,
    submit: figures(submits, submitsMs),
    read: figures(reads, readsMs),
    memory,
  };
}

const figures = ({ requests, seconds, perSecond, p50Ms, p99Ms, maxMs }: Driven, cpu: number) => ({
  requests,
  seconds: round(seconds),
  per_second: round(perSecond),
  p50_ms: round(p50Ms),
  p99_ms: round(p99Ms),
  max_ms: round(maxMs),
  api_cpu_ms_each: Math.round((cpu / requests) * 1000) / 1000,
});

const round = (value: number): number => Math.round(value * 10) / 10;

/** User and system time of all its threads, in Linux's ticks of 10 ms. */
async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const [user, system] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13);
  return 10 * (Number(user) + Number(system));
}

async function measureApi() {
  try {
    const { url = "" } = await api.ready;
    return await measure(url);
  } finally {
    api.kill("SIGTERM");
    await api.ended;
    await rm(directory, { recursive: true });
  }
}

const service = await measureApi();
say(`running ${workerJobs} jobs through a worker`);
const report = { ...service, worker: await measureWorker(workerJobs) };
if (values.json) console.log(JSON.stringify(report));
else say(JSON.stringify(report, null, 2));
