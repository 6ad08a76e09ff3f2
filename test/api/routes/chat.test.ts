import OpenAI from "openai";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ChatCompletion } from "../../../api/contract/chat.ts";
import type { Claim } from "../../../api/state/jobs/job-claims.ts";
import { eventually } from "../../support/eventually.ts";
import { jobResult, usage } from "../../support/job-fixtures.ts";
import { openTestApp, readProblem, type TestApp } from "../../support/test-app.ts";

/** Leads a client's requests to the app, without a socket. */
const fetchOf = (app: () => TestApp) => async (url: string | URL | Request, init?: RequestInit) =>
  app().app.request(url instanceof Request ? url : url.toString(), init);

let api: TestApp;
let client: OpenAI;
beforeEach(async () => {
  api = await openTestApp();
  client = new OpenAI({
    baseURL: "http://localhost/v1",
    apiKey: "sk-any",
    maxRetries: 0,
    fetch: fetchOf(() => api),
  });
});
afterEach(() => api[Symbol.asyncDispose]());

const chat = {
  model: "words",
  messages: [{ role: "user" as const, content: "where is the sun" }],
  max_completion_tokens: 10,
};
const post = (body: object) => api.post("/v1/chat/completions", body);

/** The next job in the queue, taken by a worker. */
const takeJob = (): Promise<Claim> =>
  eventually(async () => {
    const [message] = await api.state.queue.receive({ max: 1, waitMs: 0, visibilityMs: 60_000 });
    if (message === undefined) throw new Error("no message");
    return api.claim(JSON.parse(message.body).job);
  });

const requestOf = async ({ state }: Claim) => {
  const request = await api.state.jobs.getRequest(state.tenant, state.id);
  if (request === null) throw new Error("no request");
  return request;
};

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const succeed = (claim: Claim, answer: string) =>
  api.state.jobs.settleSucceeded(claim, jobResult(claim.state.id, claim.state.attempt, answer));

const write = ({ state }: Claim, text: string) =>
  api.state.streams.write(state.tenant, state.id, {
    version: 1,
    attempt: state.attempt,
    progress: { ...state.progress, generated_tokens: text.length },
    texts: [text],
  });

describe("200", () => {
  it("answers OpenAI's client through the queue", async () => {
    const asked = client.chat.completions.create(chat).withResponse();
    const claim = await takeJob();
    await succeed(claim, "It is up.");
    const { data, response } = await asked;
    expect(response.headers.get("x-job-id")).toBe(claim.state.id);
    expect(ChatCompletion.parse(data)).toMatchObject({
      id: `chatcmpl-${claim.state.id}`,
      object: "chat.completion",
      model: "words",
      choices: [{ index: 0, message: { role: "assistant", content: "It is up." }, finish_reason: "stop" }],
      usage: usage(9_000, 3),
    });
  });

  it("samples as OpenAI does where nothing is said, and as it is told where something is", async () => {
    void client.chat.completions.create(chat).catch(() => undefined);
    expect(await requestOf(await takeJob())).toMatchObject({ temperature: 1, top_p: 1, seed: 5, max_tokens: 10 });
    const told = { ...chat, temperature: 0, top_p: 0.5, seed: -7, metadata: { team: "a" }, user: "u", n: 1 };
    void client.chat.completions.create(told).catch(() => undefined);
    expect(await requestOf(await takeJob())).toMatchObject({
      temperature: 0,
      top_p: 0.5,
      seed: 7,
      metadata: { team: "a" },
    });
  });

  it("passes on everything that says how tokens are chosen, and takes null for what is left out", async () => {
    const told = {
      ...{ top_k: 40, min_p: 0.05, repetition_penalty: 1.1, presence_penalty: 0.5, frequency_penalty: -0.5 },
      ...{ ignore_eos: true, logprobs: true, top_logprobs: 3 },
    };
    void post({ ...chat, ...told, stop: "END" });
    expect(await requestOf(await takeJob())).toMatchObject({ ...told, stop: ["END"] });
    void post({ ...chat, stop: null, presence_penalty: null, logprobs: null, top_logprobs: null, seed: null });
    expect(await requestOf(await takeJob())).toMatchObject({
      ...{ stop: [], presence_penalty: 0, repetition_penalty: 1, min_p: 0 },
      ...{ logprobs: false, top_logprobs: 0, ignore_eos: false, seed: 5 },
    });
  });

  it("tells log-probabilities; in a stream with its end", async () => {
    const token = { token: "It", logprob: -0.5, bytes: [73, 116] };
    const logprobs = { content: [{ ...token, top_logprobs: [token] }], refusal: null };
    const asking = { ...chat, logprobs: true, top_logprobs: 1 };
    const succeedWith = async (claim: Claim) => {
      const result = jobResult(claim.state.id, claim.state.attempt, "It is up.");
      for (const answer of result.answers) answer.logprobs = logprobs;
      await api.state.jobs.settleSucceeded(claim, result);
    };
    const asked = client.chat.completions.create(asking);
    await succeedWith(await takeJob());
    expect((await asked).choices[0]?.logprobs).toEqual(logprobs);

    const stream = client.chat.completions.stream({ ...asking, stream: true });
    await succeedWith(await takeJob());
    expect((await stream.finalChatCompletion()).choices[0]?.logprobs).toEqual(logprobs);
  });

  it("leaves an answer the room that the prompt leaves, where no limit is given", async () => {
    const { max_completion_tokens: _, ...open } = chat;
    void client.chat.completions.create(open).catch(() => undefined);
    const { max_tokens, prompt_tokens } = await requestOf(await takeJob());
    expect(max_tokens).toBe(100 - (prompt_tokens[0] ?? 0));
  });

  it("takes developer messages and text in parts", async () => {
    const messages: OpenAI.ChatCompletionMessageParam[] = [
      { role: "developer", content: "be brief" },
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      },
    ];
    void client.chat.completions.create({ ...chat, messages }).catch(() => undefined);
    expect((await requestOf(await takeJob())).input).toMatchObject({
      kind: "messages",
      messages: [
        { role: "system", content: "be brief" },
        { role: "user", content: "a\nb" },
      ],
    });
  });

  it("streams the answer as it is generated, and its usage when asked", async () => {
    const stream = await client.chat.completions.create({
      ...chat,
      stream: true,
      stream_options: { include_usage: true },
    });
    let claim: Claim | undefined;
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) {
      chunks.push(chunk);
      const content = chunk.choices[0]?.delta.content;
      if (claim === undefined) {
        claim = await takeJob();
        expect(claim.state.watched_until_ms).toBeGreaterThan(api.state.now());
        await write(claim, "It is");
      } else if (content === "It is") await succeed(claim, "It is up.");
    }
    expect(chunks.map(({ choices }) => choices[0]?.delta)).toEqual([
      { role: "assistant", content: "" },
      { content: "It is" },
      { content: " up." },
      {},
      undefined,
    ]);
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe("stop");
    expect(chunks.at(-1)?.usage).toEqual(usage(9_000, 3));
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  it("streams no usage where none is asked for", async () => {
    const response = await post({ ...chat, stream: true });
    await succeed(await takeJob(), "It is up.");
    const text = await response.text();
    expect(text).toMatch(/data: \[DONE\]\n\n$/);
    expect(text).not.toContain("usage");
  });

  it("ends a stream with the error where the job fails, or another worker answers otherwise", async () => {
    const failing = await client.chat.completions.create({ ...chat, stream: true });
    await api.state.jobs.settleFailed(await takeJob(), { code: "out_of_memory", message: "Too little memory." });
    await expect(all(failing)).rejects.toThrow("Too little memory.");

    const moving = await client.chat.completions.create({ ...chat, stream: true });
    await write(await takeJob(), "It is");
    await expect(
      (async () => {
        for await (const chunk of moving) {
          if (chunk.choices[0]?.delta.content !== "It is") continue;
          api.state.advance(120_000);
          await succeed(await api.claim(chunk.id.replace("chatcmpl-", "")), "No.");
        }
      })(),
    ).rejects.toThrow("answers otherwise");
  });

  it("lists and shows the model to OpenAI's client", async () => {
    const models = await all(await client.models.list());
    expect(models).toEqual([
      { object: "model", id: "words", created: 1_700_000_000, owned_by: "gnomon", context_tokens: 100 },
    ]);
    expect(await client.models.retrieve("words")).toEqual(models[0]);
  });
});

describe("a client that goes away", () => {
  it.each([false, true])("takes its job with it; streaming: %s", async (stream) => {
    const leaving = new AbortController();
    const asked = client.chat.completions.create({ ...chat, stream }, { signal: leaving.signal });
    const gone = Promise.resolve(asked).then(
      async (answer) => {
        if (Symbol.asyncIterator in answer) for await (const _ of answer);
      },
      () => undefined,
    );
    const claim = await takeJob();
    leaving.abort();
    await gone.catch(() => undefined);
    await eventually(async () =>
      expect((await api.state.jobs.get("default", claim.state.id))?.cancel_requested_ms).not.toBeNull(),
    );
  });
});

describe("400", () => {
  it.each([
    [{ n: 2 }, "n"],
    [{ stop: Array.from({ length: 17 }, (_, index) => `s${index}`) }, "stop"],
    [{ stop: "" }, "stop"],
    [{ stop: ["a", 1] }, "stop"],
    [{ tools: [{ type: "function", function: { name: "f" } }] }, "tools[0]"],
    [{ response_format: { type: "json_object" } }, "response_format.type"],
    [{ logprobs: 1 }, "logprobs"],
    [{ top_logprobs: 2 }, "top_logprobs"],
    [{ logprobs: true, top_logprobs: 21 }, "top_logprobs"],
    [{ presence_penalty: 2.5 }, "presence_penalty"],
    [{ frequency_penalty: -2.5 }, "frequency_penalty"],
    [{ repetition_penalty: 0 }, "repetition_penalty"],
    [{ min_p: 1.5 }, "min_p"],
    [{ top_k: -1 }, "top_k"],
    [{ seed: 0.5 }, "seed"],
    [{ ignore_eos: "yes" }, "ignore_eos"],
    [{ messages: [] }, "messages"],
    [
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }] },
      "messages[0].content",
    ],
    [{ temperature: 3 }, "temperature"],
    [{ metadata: { "": "a" } }, "metadata"],
    [{ metadata: { ["k".repeat(65)]: "a" } }, "metadata"],
    [{ metadata: { k: "v".repeat(513) } }, "metadata.k"],
    [{ metadata: Object.fromEntries(Array.from({ length: 17 }, (_, index) => [index, "a"])) }, "metadata"],
    [{ something: 1 }, "something"],
  ])("refuses what it cannot do, in OpenAI's words and ours: %j", async (change, field) => {
    const response = await post({ ...chat, ...change });
    expect(response.status).toBe(400);
    const problem = await readProblem(response);
    expect(problem.field?.startsWith(field.replace(/\[0\]$/, ""))).toBe(true);
    expect(problem.detail).toMatch(/leave (?:it|this) out|remove it|must (?:be|not|have)/);
    expect(problem.error).toMatchObject({ type: "invalid_request_error", param: problem.field });
  });

  it("is understood by OpenAI's client", async () => {
    const error: unknown = await client.chat.completions.create({ ...chat, n: 2 }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error).toMatchObject({ param: "n", code: "invalid_request", type: "invalid_request_error" });
  });

  it("says by how much a conversation is too long", async () => {
    const content = "word ".repeat(200);
    const problem = await readProblem(await post({ ...chat, messages: [{ role: "user", content }] }));
    expect(problem).toMatchObject({ code: "context_overflow", field: "messages", error: { code: "context_overflow" } });
  });
});

describe("401", () => {
  it("is understood by OpenAI's client", async () => {
    await using keyed = await openTestApp({ loopback: false });
    const options = { baseURL: "http://localhost/v1", apiKey: "sk-any", maxRetries: 0 };
    const stranger = new OpenAI({ ...options, fetch: fetchOf(() => keyed) });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
  });
});

describe("404", () => {
  it("names the model that is served", async () => {
    const problem = await readProblem(await post({ ...chat, model: "gpt-9" }));
    expect(problem).toMatchObject({ code: "model_not_found", field: "model" });
    expect(problem.error?.message).toContain("`words`");
    await expect(client.models.retrieve("gpt-9")).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });
});

describe("409", () => {
  it("says how a job ended that was cancelled meanwhile, which is not to be tried again", async () => {
    const asked = post(chat);
    const claim = await takeJob();
    await api.state.jobs.release(claim, { isSpent: false });
    await api.state.jobs.cancel("default", claim.state.id);
    const response = await asked;
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect((await readProblem(response)).code).toBe("job_not_succeeded");
  });
});

describe("500", () => {
  it("has the code of a job that failed", async () => {
    const asked = post(chat);
    await api.state.jobs.settleFailed(await takeJob(), { code: "engine_failed", message: "The engine failed." });
    const response = await asked;
    expect(response.headers.get("x-should-retry")).toBe("true");
    expect(await readProblem(response)).toMatchObject({ code: "engine_failed", error: { type: "server_error" } });
  });
});

describe("504", () => {
  it("cancels what takes longer than a request may, and is not to be tried again", async () => {
    await using slow = await openTestApp({ waitMs: 50 });
    const response = await slow.post("/v1/chat/completions", chat);
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect((await readProblem(response)).code).toBe("answer_too_slow");
    const job = await slow.state.jobs.get("default", response.headers.get("x-job-id") ?? "");
    expect(job?.status).toBe("cancelled");
  });

  it("ends a stream with the error", async () => {
    await using slow = await openTestApp({ waitMs: 50 });
    const response = await slow.post("/v1/chat/completions", { ...chat, stream: true });
    expect(await response.text()).toContain('"code":"answer_too_slow"');
    await eventually(async () => {
      const job = await slow.state.jobs.get("default", response.headers.get("x-job-id") ?? "");
      expect(job?.status).toBe("cancelled");
    });
  });
});

describe("a request to the other API", () => {
  it("has no error of OpenAI's", async () => {
    expect((await readProblem(await api.get("/v1/jobs/job_none"))).error).toBeUndefined();
  });
});
