// OpenAI's own client, unmodified, against a running service: the one at GNOMON_URL, with the API key GNOMON_API_KEY, or
// one of our own. What it answers depends on its model; of ours, which is started here, it is known.
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { Job } from "../../api/contract/job-resource.ts";
import { startRealService } from "../support/real-service.ts";

const PATIENCE_MS = 120_000;
const question = "Contract AB-1234 expires on 3 May 2030.\n\nWhen does contract AB-1234 expire?";
const given = process.env.GNOMON_URL;
const apiKey = process.env.GNOMON_API_KEY ?? "sk-any";

let service: Awaited<ReturnType<typeof startRealService>> | undefined;
let url: string;
let client: OpenAI;
let chat: OpenAI.ChatCompletionCreateParamsNonStreaming;
beforeAll(async () => {
  if (given === undefined) service = await startRealService();
  url = given ?? service?.url ?? "";
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey });
  const [model] = (await client.models.list()).data;
  chat = {
    model: model?.id ?? "",
    messages: [{ role: "user", content: question }],
    max_completion_tokens: 32,
    temperature: 0,
    seed: 1,
  };
});
afterAll(() => service?.[Symbol.asyncDispose]());

const readJob = async (id: string): Promise<Job> =>
  Job.parse(await (await fetch(`${url}/v1/jobs/${id}`, { headers: { Authorization: `Bearer ${apiKey}` } })).json());

describe("models", () => {
  it("are listed, and each can be read", async () => {
    const { data } = await client.models.list();
    expect(data.length).toBeGreaterThan(0);
    for (const model of data) expect(await client.models.retrieve(model.id)).toEqual(model);
    await expect(client.models.retrieve("no-such-model")).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });
});

describe("a chat", () => {
  it("is answered by a job", { timeout: PATIENCE_MS }, async () => {
    const { data, response } = await client.chat.completions.create(chat).withResponse();
    const [choice] = data.choices;
    if (given === undefined) expect(choice?.message.content).toBe("Contract AB-1234 expires on 3 May 2030.");
    expect(choice?.finish_reason).toBe("stop");
    const { prompt_tokens = 0, completion_tokens = 0, total_tokens } = data.usage ?? {};
    expect(total_tokens).toBe(prompt_tokens + completion_tokens);
    const job = await readJob(response.headers.get("x-job-id") ?? "");
    expect(job).toMatchObject({ status: "succeeded", usage: data.usage });
    expect(data.id).toBe(`chatcmpl-${job.id}`);
  });

  it("streams the same answer, token counts included", { timeout: PATIENCE_MS }, async () => {
    const whole = await client.chat.completions.create(chat);
    const stream = client.chat.completions.stream({ ...chat, stream: true, stream_options: { include_usage: true } });
    const streamed = await stream.finalChatCompletion();
    expect(streamed.choices[0]?.message.content).toBe(whole.choices[0]?.message.content);
    expect(streamed.choices[0]?.finish_reason).toBe(whole.choices[0]?.finish_reason);
    expect(streamed.usage?.completion_tokens).toBe(whole.usage?.completion_tokens);
  });

  it("is cut at its limit, and says so", { timeout: PATIENCE_MS }, async () => {
    const { choices, usage } = await client.chat.completions.create({ ...chat, max_completion_tokens: 2 });
    expect(choices[0]?.finish_reason).toBe("length");
    expect(usage?.completion_tokens).toBe(2);
  });

  it("ends before a stop string, streamed or not, and never shows a part of it", { timeout: PATIENCE_MS }, async () => {
    const whole = (await client.chat.completions.create(chat)).choices[0]?.message.content ?? "";
    const stop = whole.slice(whole.length >> 1, (whole.length >> 1) + 5);
    const expected = whole.slice(0, whole.indexOf(stop));
    const { choices } = await client.chat.completions.create({ ...chat, stop: ["never said", stop] });
    expect(choices[0]).toMatchObject({ message: { content: expected }, finish_reason: "stop" });
    let streamed = "";
    for await (const chunk of await client.chat.completions.create({ ...chat, stop, stream: true })) {
      streamed += chunk.choices[0]?.delta.content ?? "";
      expect(expected.startsWith(streamed)).toBe(true);
    }
    expect(streamed).toBe(expected);
  });

  it("has log-probabilities whose tokens spell the answer, streamed or not", { timeout: PATIENCE_MS }, async () => {
    const asking = { ...chat, logprobs: true, top_logprobs: 2 };
    const [choice] = (await client.chat.completions.create(asking)).choices;
    const content = choice?.logprobs?.content ?? [];
    expect(Buffer.from(content.flatMap(({ bytes }) => bytes ?? [])).toString()).toBe(choice?.message.content);
    for (const { token, logprob, top_logprobs } of content) {
      expect(top_logprobs).toHaveLength(2);
      // Greedy: what was taken is the likeliest.
      expect(top_logprobs[0]).toMatchObject({ token, logprob });
    }
    const stream = client.chat.completions.stream({ ...asking, stream: true });
    expect((await stream.finalChatCompletion()).choices[0]?.logprobs?.content).toEqual(content);
  });

  it("is cancelled when its client hangs up", { timeout: PATIENCE_MS }, async () => {
    const leaving = new AbortController();
    const { data: stream, response } = await client.chat.completions
      .create({ ...chat, stream: true }, { signal: leaving.signal })
      .withResponse();
    leaving.abort();
    await (async () => {
      for await (const _ of stream);
    })().catch(() => undefined);
    await vi.waitFor(
      async () => {
        const job = await readJob(response.headers.get("x-job-id") ?? "");
        // Over already, if it was quicker than we.
        expect(job.cancel_requested || job.status === "succeeded").toBe(true);
      },
      { timeout: 30_000, interval: 200 },
    );
  });

  it("is refused in words that the client understands", async () => {
    await expect(client.chat.completions.create({ ...chat, n: 2 })).rejects.toMatchObject({ status: 400, param: "n" });
    const unknown = client.chat.completions.create({ ...chat, model: "no-such-model" });
    await expect(unknown).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });
});
