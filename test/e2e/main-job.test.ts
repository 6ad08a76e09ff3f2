import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient } from "../../api/client/client.ts";
import type { JobProgress } from "../../api/contract/job.ts";
import type { Job } from "../../api/contract/job-resource.ts";
import { readSample, startRealService } from "../support/real-service.ts";

let service: Awaited<ReturnType<typeof startRealService>>;
let client: ReturnType<typeof createClient>;
beforeAll(async () => {
  // One thread, and progress every second, as a lease of three has it: a prefill that no machine ends before it is seen.
  service = await startRealService({ GNOMON_THREADS: "1", GNOMON_LEASE_SECONDS: "3" });
  client = createClient(service.url);
});
afterAll(() => service?.[Symbol.asyncDispose]());

const PATIENCE_MS = 180_000;

async function finish(job: Job) {
  const seen: Job[] = [];
  const ended = await client.wait(job, {
    signal: AbortSignal.timeout(PATIENCE_MS),
    pollMs: 200,
    onProgress: (look) => void seen.push(look),
  });
  return { ended, seen };
}

describe("a long document and two questions, over HTTP", () => {
  it("gives the right answers, with progress exact to the token on the way", { timeout: PATIENCE_MS }, async () => {
    const { text, questions } = await readSample();
    const document = await client.sendDocument(text);
    const job = await client.submit({
      document: { id: document.id },
      questions: questions.map(({ question }) => question),
    });
    expect(job.progress.prompt_tokens).toBeGreaterThan(2 * 8_000);
    await expect(client.result(job)).rejects.toThrow(/has not finished/);

    const { ended, seen } = await finish(job);
    expect(ended).toMatchObject({ status: "succeeded", attempt: 1, error: null });
    const result = await client.result(job);
    expect(result.answers.map(({ question, answer }) => ({ question, expected: answer }))).toEqual(questions);
    expect(ended.progress).toEqual({
      prompt_tokens: job.progress.prompt_tokens,
      prefill_tokens: result.usage.prompt_tokens,
      generated_tokens: result.usage.completion_tokens,
      questions_done: 2,
      questions_total: 2,
    } satisfies JobProgress);

    // The document is computed once for both.
    expect(result.usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(8_000);
    expect(ended.usage).toEqual(result.usage);

    const prefilled = seen.map(({ progress }) => progress.prefill_tokens);
    expect(prefilled).toEqual(prefilled.toSorted((a, b) => a - b));
    expect(prefilled.some((tokens) => tokens > 0 && tokens < job.progress.prompt_tokens)).toBe(true);
    for (const { cache } of result.answers) expect(cache.device_bytes).toBeLessThan(cache.full_bytes);
  });

  it("leaves nothing of the text in any log", () => {
    expect(service.lines.length).toBeGreaterThan(4);
    expect(service.lines.join("\n")).not.toMatch(/KD-4417|lighthouse|Decision/i);
  });
});

describe("many small jobs at once", () => {
  it("run together and all end", { timeout: PATIENCE_MS }, async () => {
    const document = { text: "The board met. Contract AB-1234 expires on 3 May 2030. The board went home." };
    const jobs = await Promise.all(
      Array.from({ length: 12 }, (_, seed) =>
        client.submit({ document, question: "When does contract AB-1234 expire?", max_tokens: 40, seed }),
      ),
    );
    const ends = await Promise.all(jobs.map(finish));
    expect(ends.map(({ ended }) => ended.status)).toEqual(jobs.map(() => "succeeded"));
    const answers = await Promise.all(jobs.map(async (job) => (await client.result(job)).answers[0]?.answer));
    expect(new Set(answers).size).toBe(1);
  });
});

describe("jobs of one document that wait together", () => {
  it("have it computed for fewer than each of them", { timeout: PATIENCE_MS }, async () => {
    const { text, questions } = await readSample();
    const [question] = questions;
    if (question === undefined) throw new Error("the sample has no question");
    const other = await client.sendDocument(`Notes of another year.\n\n${text}`);
    const document = await client.sendDocument(text);
    // The engine is busy with this one while the others come.
    const first = await client.submit({ document: { id: other.id }, question: question.question });
    const jobs = await Promise.all(
      Array.from({ length: 3 }, () => client.submit({ document: { id: document.id }, question: question.question })),
    );
    const ends = await Promise.all([first, ...jobs].map(finish));
    expect(ends.map(({ ended }) => ended.status)).toEqual(["succeeded", "succeeded", "succeeded", "succeeded"]);
    const cached = ends.slice(1).map(({ ended }) => ended.usage?.prompt_tokens_details.cached_tokens ?? 0);
    expect(Math.max(...cached)).toBeGreaterThan(8_000);
    for (const job of jobs) expect((await client.result(job)).answers[0]?.answer).toBe(question.expected);
  });
});
