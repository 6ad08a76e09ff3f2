import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { usage } from "../../support/job-fixtures.ts";
import { openTestWorker, type TestWorker } from "../../support/test-worker.ts";

let worker: TestWorker;
beforeEach(async () => {
  worker = await openTestWorker();
});
afterEach(() => worker[Symbol.asyncDispose]());

describe("what a run asks of the engine and answers", () => {
  it("answers every question in order, whichever ends first", async () => {
    const id = await worker.submit(["why", "where is it"]);
    const delivery = worker.deliver(await worker.receive());
    (await worker.sequence(1)).finish(4, 5);
    (await worker.sequence(0)).finish(6);
    await delivery.done;

    expect(await worker.job(id)).toMatchObject({
      status: "succeeded",
      attempt: 1,
      lease: null,
      progress: { prompt_tokens: 12, prefill_tokens: 12, generated_tokens: 3, questions_done: 2, questions_total: 2 },
    });
    expect(await worker.state.jobs.getResult("default", id)).toEqual({
      object: "job.result",
      id,
      model: "words",
      attempt: 1,
      answers: [
        {
          question: "why",
          answer: "tokens 6",
          finish_reason: "stop",
          usage: usage(5, 1),
          timings: { queue_ms: 1, prefill_ms: 2, decode_ms: 3 },
          cache: { device_bytes: 10, host_bytes: 20, full_bytes: 100, hit_rate: 0.5 },
        },
        expect.objectContaining({ question: "where is it", answer: "tokens 4 5" }),
      ],
      usage: usage(12, 3),
    });
    expect(await worker.messagesLeft()).toBe(0);
  });

  it("passes the request's sampling on, with a seed for each question", async () => {
    const penalties = { repetition_penalty: 1.1, presence_penalty: 0.5, frequency_penalty: -0.5 };
    await worker.submit(["why", "why"], {
      ...{ temperature: 0.5, top_p: 0.9, top_k: 40, min_p: 0.05, ignore_eos: true },
      ...penalties,
      seed: Number.MAX_SAFE_INTEGER,
    });
    const delivery = worker.deliver(await worker.receive());
    const sequences = [await worker.sequence(0), await worker.sequence(1)];
    const common = {
      ...{ temperature: 0.5, topP: 0.9, topK: 40, minP: 0.05 },
      ...{ repetitionPenalty: 1.1, presencePenalty: 0.5, frequencyPenalty: -0.5 },
    };
    expect(sequences.map(({ request }) => request.sampling)).toEqual([
      { ...common, seed: 2n ** 53n - 1n },
      { ...common, seed: 2n ** 53n },
    ]);
    expect(sequences[0]?.request).toMatchObject({ maxNewTokens: 7, ignoreEos: true });
    expect(sequences[0]?.request).not.toHaveProperty("topLogprobs");
    for (const sequence of sequences) sequence.finish(1);
    await delivery.done;
  });

  it("tells what its questions shared, and shares with its own tenant only", async () => {
    const id = await worker.submit(["why", "where is it"]);
    const delivery = worker.deliver(await worker.receive());
    const sequences = [await worker.sequence(0), await worker.sequence(1)];
    expect(sequences.map(({ request }) => request.reuseScope)).toEqual(["default", "default"]);
    for (const [index, sequence] of sequences.entries()) {
      sequence.cachedTokens = 4 * index;
      sequence.finish(1);
    }
    await delivery.done;
    const cached = { prompt_tokens_details: { cached_tokens: 4 } };
    const result = await worker.state.jobs.getResult("default", id);
    expect(result?.answers.map(({ usage }) => usage.prompt_tokens_details.cached_tokens)).toEqual([0, 4]);
    expect(result?.usage).toEqual({ ...usage(12, 2), ...cached });
    expect(await worker.job(id)).toMatchObject({ usage: { ...usage(12, 2), ...cached } });
  });

  it("ends an answer before a stop string, and counts the tokens up to it", async () => {
    const id = await worker.submit(["why"], { stop: ["zebra", "6 7"] });
    const delivery = worker.deliver(await worker.receive());
    const sequence = await worker.sequence(0);
    sequence.tokens(5);
    sequence.tokens(6);
    sequence.tokens(7);
    await delivery.done;
    expect((await worker.state.jobs.getResult("default", id))?.answers[0]).toMatchObject({
      answer: "tokens 5 ",
      finish_reason: "stop",
      usage: usage(5, 3),
    });
  });

  it("tells log-probabilities in OpenAI's form where they are asked for", async () => {
    const id = await worker.submit(["why"], { logprobs: true, top_logprobs: 2 });
    const delivery = worker.deliver(await worker.receive());
    const sequence = await worker.sequence(0);
    expect(sequence.request.topLogprobs).toBe(2);
    sequence.finish(3);
    await delivery.done;
    const three = { token: "3", bytes: [51], logprob: -3 };
    expect((await worker.state.jobs.getResult("default", id))?.answers[0]?.logprobs).toEqual({
      content: [{ ...three, top_logprobs: [three, { token: "4", bytes: [52], logprob: -4 }] }],
      refusal: null,
    });
  });
});
