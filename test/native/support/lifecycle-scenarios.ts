// What a process does with engines before it ends; each test of lifecycle.test.ts runs one of these as a process.
// usage: node lifecycle-scenarios.ts <scenario> <model directory>
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { type Engine, loadEngine } from "../../../native/index.ts";
import { promptOf } from "./needle.ts";

const [scenario = "", modelDir = ""]: string[] = isMainThread ? process.argv.slice(2) : workerData;

/** Requests that would run for minutes: `count` of them, the first one decoding when this resolves. */
function keepBusy(engine: Engine, count = 3): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = { tokens: promptOf(64), maxNewTokens: 60_000, ignoreEos: true };
    for (let i = 0; i < count; i++) engine.generate(request, { onTokens: () => resolve() }).catch(reject);
  });
}

function startThread(threadScenario: string): Worker {
  return new Worker(new URL(import.meta.url), { workerData: [threadScenario, modelDir] });
}

async function terminateThread(threadScenario: string): Promise<void> {
  const worker = startThread(threadScenario);
  await new Promise((resolve) => worker.once("message", resolve));
  await worker.terminate();
}

const scenarios: Record<string, () => Promise<void>> = {
  async "idle engine"() {
    await loadEngine({ modelDir });
  },
  async "request in flight"() {
    const engine = await loadEngine({ modelDir });
    const request = { tokens: promptOf(64), maxNewTokens: 30, ignoreEos: true };
    void engine.generate(request).then(({ tokens }) => console.log(`${tokens.length} tokens`));
  },
  async "exit mid-load"() {
    void loadEngine({ modelDir });
    setImmediate(() => process.exit(7));
  },
  async "exit mid-prefill"() {
    const engine = await loadEngine({ modelDir });
    const request = { tokens: promptOf(30_000), maxNewTokens: 5 };
    void engine.generate(request, { onProgress: () => process.exit(7) });
  },
  async "exit mid-decode"() {
    await keepBusy(await loadEngine({ modelDir }));
    process.exit(7);
  },
  async "exit mid-close"() {
    const engine = await loadEngine({ modelDir });
    keepBusy(engine).catch(() => {});
    void engine.close();
    process.exit(7);
  },
  async "uncaught error mid-decode"() {
    await keepBusy(await loadEngine({ modelDir }));
    throw new Error("thrown on purpose");
  },
  async "engines collected"() {
    const { gc } = globalThis;
    if (!gc) throw new Error("run with --expose-gc");
    let collected = 0;
    const registry = new FinalizationRegistry(() => {
      collected += 1;
    });
    for (let i = 0; i < 5; i++) registry.register(await loadEngine({ modelDir }), i);
    for (let turn = 0; turn < 200 && collected < 5; turn++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    console.log(`${collected} collected`);
  },
  async "thread ends with an idle engine"() {
    const worker = startThread("idle engine");
    await new Promise((resolve) => worker.once("exit", resolve));
  },
  async "thread exits mid-decode"() {
    const worker = startThread("exit mid-decode");
    console.log("code", await new Promise((resolve) => worker.once("exit", resolve)));
  },
  async "threads terminated mid-load"() {
    await Promise.all(Array.from({ length: 4 }, () => terminateThread("in thread: load")));
  },
  async "threads terminated mid-decode"() {
    await Promise.all(Array.from({ length: 3 }, () => terminateThread("in thread: decode")));
  },
  async "threads terminated mid-close"() {
    await Promise.all(Array.from({ length: 3 }, () => terminateThread("in thread: close")));
  },
  async "exit while threads decode"() {
    const threads = [startThread("in thread: decode"), startThread("in thread: decode")];
    await Promise.all(threads.map((thread) => new Promise((resolve) => thread.once("message", resolve))));
    await keepBusy(await loadEngine({ modelDir }));
    process.exit(7);
  },
  async "in thread: load"() {
    void loadEngine({ modelDir });
    parentPort?.postMessage("loading");
  },
  async "in thread: decode"() {
    const engines = await Promise.all([loadEngine({ modelDir }), loadEngine({ modelDir })]);
    await Promise.all(engines.map((engine) => keepBusy(engine)));
    parentPort?.postMessage("decoding");
  },
  async "in thread: close"() {
    const engine = await loadEngine({ modelDir });
    await keepBusy(engine);
    void engine.close();
    parentPort?.postMessage("closing");
  },
};

const play = scenarios[scenario];
if (!play) throw new Error(`no scenario "${scenario}"`);
await play();
