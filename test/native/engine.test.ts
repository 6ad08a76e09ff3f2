import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EngineError } from "../../native/engine-error.ts";
import {
  type Engine,
  type EngineOptions,
  type EngineStats,
  type GenerateOptions,
  type LoadProgress,
  loadEngine,
  type Progress,
} from "../../native/index.ts";
import { DEFAULT_CACHE } from "../../native/options.ts";
import { loadPrompts } from "../../native/prompt/prompt.ts";
import { NEEDLE_DIR, promptOf } from "./support/needle.ts";
import { TINY, writeTinyModel } from "./support/tiny-model.ts";

const greedy = (promptTokens: number, maxNewTokens: number): GenerateOptions => ({
  tokens: promptOf(promptTokens),
  maxNewTokens,
  ignoreEos: true,
});

/** Stats are those of the last finished step, which may come a moment after the result. */
async function idleStats(): Promise<EngineStats> {
  await expect.poll(() => engine.stats()).toMatchObject({ waiting: 0, prefilling: 0, decoding: 0 });
  return engine.stats();
}

let engine: Engine;
let tinyDir: string;
beforeAll(async () => {
  tinyDir = await mkdtemp(join(tmpdir(), "gnomon-tiny-"));
  await writeTinyModel(tinyDir);
  engine = await loadEngine({ modelDir: NEEDLE_DIR, maxBatch: 4 });
});
afterAll(async () => {
  await engine.close();
  await rm(tinyDir, { recursive: true });
});

describe("loadEngine", () => {
  test("describes the model it loaded", () => {
    expect(engine.model).toMatchObject({
      vocabSize: 4096,
      numLayers: 6,
      numKvHeads: 2,
      headDim: 64,
      maxPositionEmbeddings: 65_536,
      eosTokenIds: [4, 1],
    });
    expect(engine.model.weightBytes).toBeGreaterThan(11_000_000);
  });

  test("tells how far the model is loaded, up to all of it", async () => {
    const told: LoadProgress[] = [];
    const loaded = await loadEngine({ modelDir: tinyDir }, { onProgress: (progress) => told.push(progress) });
    const { weightBytes } = loaded.model;
    await loaded.close();
    expect(told[0]).toEqual({ loadedBytes: 0, totalBytes: weightBytes });
    expect(told.at(-1)).toEqual({ loadedBytes: weightBytes, totalBytes: weightBytes });
  });

  test("rejects with what its progress callback throws", async () => {
    const onProgress = () => {
      throw new Error("no more");
    };
    await expect(loadEngine({ modelDir: tinyDir }, { onProgress })).rejects.toThrow("no more");
  });

  test("chooses a rank that a narrow model can take, and refuses a given one that is wider", async () => {
    const narrow = await loadEngine({ modelDir: tinyDir });
    await narrow.close();

    const rank = TINY.keyWidth + 1;
    const wide = loadEngine({ modelDir: tinyDir, cache: { kind: "shadowkv", rank } });
    await expect(wide).rejects.toMatchObject({ code: "invalid_options", message: expect.stringContaining("rank") });
  });

  test.each<[string, unknown, string]>([
    ["no directory", { modelDir: "" }, "modelDir"],
    ["an unknown option", { modelDir: NEEDLE_DIR, batch: 4 }, '"batch"'],
    ["an unknown device", { modelDir: NEEDLE_DIR, device: "tpu" }, '"cpu" or "cuda"'],
    ["an unknown dtype", { modelDir: NEEDLE_DIR, dtype: "float16" }, '"float32"'],
    ["bfloat16 on a CPU", { modelDir: NEEDLE_DIR, dtype: "bfloat16" }, "dtype must be float32 on a CPU"],
    ["half a thread", { modelDir: NEEDLE_DIR, threads: 0.5 }, "threads"],
    ["no batch", { modelDir: NEEDLE_DIR, maxBatch: 0 }, "maxBatch"],
    ["negative memory", { modelDir: NEEDLE_DIR, memory: { deviceBytes: -1 } }, "memory.deviceBytes"],
    ["an unknown cache", { modelDir: NEEDLE_DIR, cache: { kind: "paged" } }, "cache.kind"],
    ["rank 0", { modelDir: NEEDLE_DIR, cache: { kind: "shadowkv", rank: 0 } }, "cache.rank"],
    ["a text for a knob", { modelDir: NEEDLE_DIR, cache: { kind: "shadowkv", chunkSize: "8" } }, "cache.chunkSize"],
    ["a knob of the other cache", { modelDir: NEEDLE_DIR, cache: { kind: "full", rank: 8 } }, '"rank"'],
  ])("refuses %s, naming it", async (_, options, named) => {
    await expect(loadEngine(options as EngineOptions)).rejects.toMatchObject({
      code: "invalid_options",
      message: expect.stringContaining(named),
    });
  });

  test("rejects with what the engine found, on a stack that leads here", async () => {
    const error = await loadEngine({ modelDir: "/nowhere/model" }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(EngineError);
    expect(error).toMatchObject({ code: "invalid_model", message: expect.stringContaining("config.json") });
    expect(error.stack).toContain("engine.test.ts");
    expect(error.cause).toMatchObject({ code: "invalid_model", message: error.message });
  });

  test("rejects a device this build or machine does not have", async () => {
    const cuda = await loadEngine({ modelDir: NEEDLE_DIR, device: "cuda" }).catch((thrown) => thrown);
    if (cuda instanceof EngineError) expect(cuda.code).toBe("device_unavailable");
    else await cuda.close();
  });
});

describe("generate", () => {
  test("answers a question about a document", async () => {
    const prompts = await loadPrompts(NEEDLE_DIR);
    const document =
      "The ferry was late again on Tuesday, so the board met without its chairman. The first hour went to the roof of " +
      "the boat house, which leaks on the side where the paint is kept. Contract KD-4417 expires on 14 March 2031. " +
      "After the tea the secretary read a letter from the school, which wants to bring twenty children to the lamp.";
    const { tokens, finishReason } = await engine.generate({
      tokens: await prompts.encode({ document, question: "When does contract KD-4417 expire?" }),
      maxNewTokens: 60,
    });
    expect(await prompts.decode(tokens)).toBe("Contract KD-4417 expires on 14 March 2031.");
    expect(finishReason).toBe("stop");
  });

  test("tells tokens and progress in order, the last of both before it resolves", async () => {
    const reports: Progress[] = [];
    const streamed: number[] = [];
    const started = performance.now();
    const result = await engine.generate(greedy(700, 40), {
      onProgress: (progress) => reports.push(progress),
      onTokens: (tokens) => streamed.push(...tokens),
    });
    const elapsedMs = performance.now() - started;

    expect(streamed).toEqual([...result.tokens]);
    expect(result).toMatchObject({ finishReason: "length", promptTokens: 700 });
    expect(result.tokens).toHaveLength(40);
    expect(result.cache.device).toBeGreaterThan(0);
    expect(reports.at(-1)).toEqual({ phase: "decode", prefillTokens: 700, promptTokens: 700, generatedTokens: 40 });
    expect(reports.length).toBeLessThanOrEqual(elapsedMs / 100 + 2);
    const done = reports.map((report) => report.prefillTokens + report.generatedTokens);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
  });

  test("gives the same greedy tokens alone and in a batch", async () => {
    const alone = await engine.generate(greedy(300, 20));
    const batch = await Promise.all([greedy(500, 12), greedy(300, 20), greedy(90, 30)].map((r) => engine.generate(r)));
    expect(batch[1]?.tokens).toEqual(alone.tokens);
    expect(batch.map((result) => result.tokens.length)).toEqual([12, 20, 30]);
  });

  test("samples by seed, up to 64 bits of it", async () => {
    const sample = async (seed: number | bigint) => {
      const request = { ...greedy(50, 16), sampling: { temperature: 2, topP: 0.99, topK: 500, seed } };
      return [...(await engine.generate(request)).tokens];
    };
    const [first, again, other] = await Promise.all([sample(1), sample(1n), sample((1n << 64n) - 1n)]);
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
  });

  test("stops before a stop token", async () => {
    const free = await engine.generate(greedy(200, 10));
    const stop = free.tokens[4] ?? 0;
    const stopped = await engine.generate({ ...greedy(200, 10), stopTokenIds: [stop] });
    expect(stopped.finishReason).toBe("stop");
    expect([...stopped.tokens]).toEqual([...free.tokens].slice(0, free.tokens.indexOf(stop)));
  });

  test("runs with the full cache as well", async () => {
    const full = await loadEngine({ modelDir: NEEDLE_DIR, cache: { kind: "full" } });
    const result = await full.generate(greedy(300, 5));
    expect(result.cache).toEqual(result.cacheFull);
    await full.close();
  });

  test("takes a copy of the prompt, from shared memory too", async () => {
    const tokens = new Uint32Array(new SharedArrayBuffer(4 * 300));
    tokens.set(promptOf(300));
    const running = engine.generate({ ...greedy(300, 20), tokens });
    tokens.fill(9);
    expect(await running).toMatchObject({ tokens: (await engine.generate(greedy(300, 20))).tokens });
  });

  test.each<[string, Record<string, unknown>, string, string]>([
    ["a plain array", { tokens: [1, 2] }, "invalid_request", "Uint32Array"],
    ["an empty prompt", { tokens: new Uint32Array(0) }, "invalid_request", "empty"],
    ["a token outside the vocabulary", { tokens: Uint32Array.of(5, 4096) }, "invalid_request", "tokens[1] is 4096"],
    ["no new tokens", { maxNewTokens: 0 }, "invalid_request", "maxNewTokens is 0"],
    ["a temperature below 0", { sampling: { temperature: -1 } }, "invalid_request", "sampling.temperature"],
    ["no temperature", { sampling: { temperature: Number.NaN } }, "invalid_request", "sampling.temperature"],
    ["topP above 1", { sampling: { topP: 1.5 } }, "invalid_request", "sampling.topP"],
    ["half a topK", { sampling: { topK: 0.5 } }, "invalid_request", "sampling.topK"],
    ["a seed below 0", { sampling: { seed: -1n } }, "invalid_request", "sampling.seed"],
    ["an unknown stop token", { stopTokenIds: [4096] }, "invalid_request", "stopTokenIds"],
    ["a scope that is no text", { reuseScope: 5 }, "invalid_request", "reuseScope is 5"],
    ["an unknown field", { maxTokens: 4 }, "invalid_request", '"maxTokens"'],
    ["too many positions", { maxNewTokens: 65_527 }, "context_overflow", "need 65537 positions; the model has 65536"],
  ])("refuses %s, naming it", async (_, change, code, named) => {
    const request = { ...greedy(10, 4), ...change } as GenerateOptions;
    await expect(engine.generate(request)).rejects.toMatchObject({ code, message: expect.stringContaining(named) });
  });

  test("leaves the event loop free while it runs", async () => {
    let longestMs = 0;
    let last = performance.now();
    const clock = setInterval(() => {
      longestMs = Math.max(longestMs, performance.now() - last);
      last = performance.now();
    }, 5);
    const { prefillMs, decodeMs } = await engine.generate(greedy(2500, 30));
    clearInterval(clock);
    expect(longestMs).toBeLessThan(Math.max(100, (prefillMs + decodeMs) / 2));
  });
});

describe("an abort", () => {
  test("that came before rejects with the signal's reason and starts nothing", async () => {
    const reason = new Error("too late");
    const before = await idleStats();
    await expect(engine.generate(greedy(10, 4), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(engine.stats()).toEqual(before);
  });

  test.each([
    ["while decoding", { ...greedy(50, 60_000) }, (update: Progress) => update.phase === "decode"],
    ["during prefill", { ...greedy(16_000, 10) }, (update: Progress) => update.phase === "prefill"],
  ])("%s rejects with the reason and gives the memory back", async (_, request, isMoment) => {
    const reason = { why: "lease lost" };
    const controller = new AbortController();
    const told: Progress[] = [];
    const aborted = engine.generate(request, {
      signal: controller.signal,
      onProgress: (update) => {
        told.push(update);
        if (isMoment(update)) controller.abort(reason);
      },
    });
    await expect(aborted).rejects.toBe(reason);
    expect(told.filter(isMoment)).toHaveLength(1);
    await engine.generate(greedy(10, 1));
    await expect.poll(() => engine.stats().used).toEqual({ device: 0, host: 0 });
  });

  test("of a waiting request leaves the others running", async () => {
    const running = Array.from({ length: 4 }, () => engine.generate(greedy(200, 60)));
    const waiting = engine.generate(greedy(200, 60), { signal: AbortSignal.timeout(1) });
    await expect(waiting).rejects.toMatchObject({ name: "TimeoutError" });
    for (const { tokens } of await Promise.all(running)) expect(tokens).toHaveLength(60);
  });

  test("after the end changes nothing", async () => {
    const controller = new AbortController();
    const result = await engine.generate(greedy(10, 2), { signal: controller.signal });
    controller.abort();
    expect(result.tokens).toHaveLength(2);
  });
});

test("what a callback throws cancels its request and rejects it", async () => {
  const thrown = new Error("no more");
  const onTokens = () => {
    throw thrown;
  };
  await expect(engine.generate(greedy(20, 60_000), { onTokens })).rejects.toBe(thrown);
});

describe("plan", () => {
  test("counts bytes of both caches and says whether they fit", async () => {
    const plan = engine.plan({ promptTokens: 8192, maxNewTokens: 64 });
    expect(plan).toMatchObject({ fits: true, reason: "" });
    expect(plan.cacheFull.device).toBe(6 * 2 * 128 * 4 * (8192 + 64));

    const small = await loadEngine({ modelDir: NEEDLE_DIR, memory: { deviceBytes: 64 << 20 } });
    const refused = small.plan({ promptTokens: 60_000, maxNewTokens: 64 });
    expect(refused.fits).toBe(false);
    expect(refused.reason).not.toBe("");
    await expect(small.generate(greedy(60_000, 64))).rejects.toMatchObject({ code: "out_of_memory" });
    await small.close();
  });

  test("counts with the default knobs what it counts with them given", async () => {
    const given = await loadEngine({ modelDir: NEEDLE_DIR, cache: { ...DEFAULT_CACHE, kind: "shadowkv" } });
    const request = { promptTokens: 20_000, maxNewTokens: 64 };
    expect(given.plan(request)).toEqual(engine.plan(request));
    expect(given.plan(request).cache.device).toBeLessThan(given.plan(request).cacheFull.device);
    await given.close();
  });

  test.each([
    [{ promptTokens: 0, maxNewTokens: 1 }, "invalid_request"],
    [{ promptTokens: 1, maxNewTokens: 1.5 }, "invalid_request"],
    [{ promptTokens: 65_536, maxNewTokens: 1 }, "context_overflow"],
  ])("refuses %o as generate does", (request, code) => {
    expect(() => engine.plan(request)).toThrow(expect.objectContaining({ code }));
  });
});

test("prompts of one scope that begin alike are computed once, and answered as alone", async () => {
  const base = await engine.generate(greedy(700, 6));
  const before = await idleStats();
  // Keeps the engine from the others until all of them are there.
  const earlier = engine.generate({ ...greedy(4000, 1), reuseScope: "earlier" });
  const [first, second, other] = await Promise.all([
    engine.generate(greedy(700, 6)),
    engine.generate(greedy(700, 6)),
    engine.generate({ ...greedy(700, 6), reuseScope: "another tenant" }),
  ]);
  await earlier;
  for (const { tokens } of [first, second, other]) expect(tokens).toEqual(base.tokens);
  expect([first, second, other].map(({ cachedTokens }) => cachedTokens)).toEqual([0, 699, 0]);
  await expect.poll(() => engine.stats().cachedTokens).toBe(before.cachedTokens + 699);
  expect(engine.stats().prefilledTokens).toBe(before.prefilledTokens + 4000 + 2 * 700 + 1);
});

test("stats count what was done", async () => {
  const before = await idleStats();
  await engine.generate(greedy(100, 10));
  // The first token comes from the prefill.
  await expect.poll(() => engine.stats().decodedTokens).toBe(before.decodedTokens + 9);
  const after = await idleStats();
  expect(after.prefilledTokens).toBe(before.prefilledTokens + 100);
  expect(after.used).toEqual({ device: 0, host: 0 });
  expect(after.capacity.device).toBeGreaterThan(0);
});

describe("close", () => {
  test("ends running and waiting requests with closed, on the stacks of their callers", async () => {
    const busy = await loadEngine({ modelDir: NEEDLE_DIR, maxBatch: 1 });
    const requests = [1, 2, 3].map(() => busy.generate(greedy(100, 60_000)));
    const outcomes = Promise.allSettled(requests);
    await busy.close();
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { code: "closed" } });
      if (outcome.status === "rejected") expect(outcome.reason.stack).toContain("engine.test.ts");
    }
  });

  test("may be repeated, and everything after it says closed", async () => {
    const closed = await loadEngine({ modelDir: tinyDir });
    await Promise.all([closed.close(), closed.close()]);
    await closed.close();
    const isClosed = expect.objectContaining({ name: "EngineError", code: "closed" });
    await expect(closed.generate({ tokens: promptOf(1), maxNewTokens: 1 })).rejects.toEqual(isClosed);
    expect(() => closed.stats()).toThrow(isClosed);
    expect(() => closed.plan({ promptTokens: 1, maxNewTokens: 1 })).toThrow(isClosed);
    expect(closed.model.vocabSize).toBe(TINY.vocabSize);
  });
});

test("several engines run at once", async () => {
  const others = await Promise.all([tinyDir, NEEDLE_DIR].map((modelDir) => loadEngine({ modelDir, threads: 1 })));
  const request = { tokens: Uint32Array.from({ length: 40 }, (_, i) => i), maxNewTokens: 20, ignoreEos: true };
  const [own, ...theirs] = await Promise.all([engine, ...others].map((each) => each.generate(request)));
  expect(theirs.map(({ tokens }) => tokens.length)).toEqual([20, 20]);
  expect(theirs[1]?.tokens).toEqual(own?.tokens);
  await Promise.all(others.map((each) => each.close()));
});
