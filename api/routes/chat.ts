import { createRoute, z } from "@hono/zod-openapi";
import { type SSEStreamingApi, streamSSE } from "hono/streaming";
import {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionError,
  CreateChatCompletion,
  chatExample,
} from "../contract/chat.ts";
import { AppError } from "../contract/errors.ts";
import { isTerminal, type JobState } from "../contract/job.ts";
import { limits } from "../contract/limits.ts";
import { eventStream } from "../http/event-stream.ts";
import { mediaTypes } from "../http/media-types.ts";
import { openAiError } from "../http/openai-error.ts";
import { toAppError } from "../http/problem.ts";
import { createRouter, problemResponses } from "../http/router.ts";
import { answerOf, describeChat, describeChunk, describeUsage } from "./chat/describe-chat.ts";
import { resolveChat } from "./chat/resolve-chat.ts";
import { admitJob } from "./jobs/admit-job.ts";
import { endOf } from "./jobs/end-of-stream.ts";
import { followJob } from "./jobs/follow-job.ts";
import type { JobDeps } from "./jobs/job-deps.ts";
import { resolveJob } from "./jobs/resolve-job.ts";
import { createSentText } from "./jobs/sent-text.ts";
import { waitForEnd } from "./jobs/wait-for-end.ts";

const DONE = "[DONE]";

/** Each event of a streamed answer: OpenAI's have data and nothing else. */
const ChatEvent = z.object({
  data: z.union([
    ChatCompletionChunk,
    ChatCompletionError,
    z.literal(DONE).meta({ description: "The end of an answer that came whole." }),
  ]),
  event: z.literal("message").optional().meta({ description: "Is not sent: what every event without a name is." }),
});

const chatStreamExample = `data: {"id":"chatcmpl-job_f88e76de-cba9-4f33-89cb-75d084e6503b","created":1764072000,"model":"needle","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"3 May 2030."},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-job_f88e76de-cba9-4f33-89cb-75d084e6503b","created":1764072000,"model":"needle","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}

data: ${DONE}

`;

const postChat = createRoute({
  method: "post",
  path: "/v1/chat/completions",
  summary: "Answer a conversation, as OpenAI's API does",
  description:
    "A job behind one request: it waits in the same queue, and is cancelled if the client goes away. The header " +
    "`X-Job-Id` names it. With `stream`, the answer comes as server-sent events, each a ChatCompletionChunk, and " +
    "ends with `data: [DONE]`, or with a ChatCompletionError where it breaks off.",
  middleware: mediaTypes("application/json"),
  request: {
    body: { required: true, content: { "application/json": { schema: CreateChatCompletion, example: chatExample } } },
  },
  responses: {
    200: {
      description: "The answer.",
      headers: z.object({ "X-Job-Id": z.string() }),
      content: { "application/json": { schema: ChatCompletion }, ...eventStream(ChatEvent, chatStreamExample) },
    },
    ...problemResponses(400, 404, 409, 413, 415, 429, 503, 504),
  },
});

type Deps = JobDeps & { randomSeed: () => number };

export const chatRoutes = (deps: Deps) => {
  const { jobs, waitMs } = deps;

  /** Nobody is left to read the answer. */
  async function cancelIfGone({ tenant, id }: JobState, gone: AbortSignal): Promise<void> {
    if (gone.aborted) await jobs.cancel(tenant, id);
  }

  async function answer(state: JobState, gone: AbortSignal): Promise<ChatCompletion> {
    const read = async () => (await jobs.get(state.tenant, state.id)) ?? wasDeleted(state);
    const ended = await waitForEnd(read, waitMs, gone);
    await cancelIfGone(state, gone);
    if (!isTerminal(ended.status) && !gone.aborted) {
      await jobs.cancel(state.tenant, state.id);
      throw tooSlow(waitMs);
    }
    return describeChat(ended, await jobs.getResult(state.tenant, state.id));
  }

  async function streamAnswer(stream: SSEStreamingApi, state: JobState, how: StreamOptions) {
    const send = (chunk: ChatCompletionChunk) => stream.writeSSE({ data: JSON.stringify(chunk) });
    await send(describeChunk(state, { role: "assistant", content: "" }));
    for await (const update of followJob(state, deps, { sent: createSentText(), signal: how.signal })) {
      // What was streamed cannot be taken back.
      if (update.type === "reset") throw answeredOtherwise(state);
      if (update.type === "text") await send(describeChunk(state, { content: update.text }));
      if (update.type !== "end") continue;
      const { usage, ...end } = answerOf(update.state, update.result);
      await send(describeChunk(state, {}, end));
      if (how.usage) await send(describeUsage(state, usage));
      await stream.writeSSE({ data: DONE });
      return;
    }
    if (how.late.aborted) throw tooSlow(waitMs);
    if (!how.signal.aborted) wasDeleted(state);
  }

  return createRouter().openapi(postChat, async (c) => {
    const asked = c.req.valid("json");
    const request = await resolveJob(c.get("tenant"), await resolveChat(asked, deps), deps);
    const { state } = await admitJob(c, request, deps, (job) => jobs.submit(c.get("tenant"), request, job));
    c.header("X-Job-Id", state.id);
    if (!asked.stream) return c.json(await answer(state, c.req.raw.signal), 200);

    c.header("X-Accel-Buffering", "no");
    return streamSSE(c, async (stream) => {
      const late = Number.isFinite(waitMs) ? AbortSignal.timeout(waitMs) : new AbortController().signal;
      const signal = AbortSignal.any([endOf(stream, c.req.raw.signal), late]);
      const beat = setInterval(() => void stream.write(": still here\n\n"), limits.eventKeepAliveMs);
      try {
        await streamAnswer(stream, state, { usage: asked.stream_options?.include_usage === true, signal, late });
      } catch (thrown) {
        const failed: ChatCompletionError = { error: openAiError(await toAppError(thrown, c)) };
        await stream.writeSSE({ data: JSON.stringify(failed) });
      } finally {
        clearInterval(beat);
        await cancelIfGone(state, signal);
      }
    });
  });
};

/** `late`: the answer has taken too long. `signal`: that, or nobody reads it any more. */
type StreamOptions = { usage: boolean; signal: AbortSignal; late: AbortSignal };

const tooSlow = (waitMs: number): AppError =>
  new AppError("answer_too_slow", `no answer after ${waitMs} ms`, {
    detail:
      `This service answers a request within ${waitMs / 1000} s, and the answer takes longer; it was cancelled. ` +
      "Send it to POST /v1/jobs, and collect it when it is there.",
  });

function wasDeleted({ id }: JobState): never {
  throw new AppError("job_not_found", `job ${id} was deleted`, { detail: `Job \`${id}\` was deleted while it ran.` });
}

const answeredOtherwise = ({ id }: JobState): AppError =>
  new AppError("lease_lost", `job ${id} answers otherwise in another attempt`, {
    detail:
      "Another worker had to take over and answers otherwise than what was streamed. " +
      `Ask again, or read the answer at /v1/jobs/${id}/result.`,
  });
