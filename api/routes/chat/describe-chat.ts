import type { ChatCompletion, ChatCompletionChunk } from "../../contract/chat.ts";
import { AppError, ERRORS, type ErrorCode } from "../../contract/errors.ts";
import type { JobState, Usage } from "../../contract/job.ts";
import type { JobResult } from "../../contract/job-result.ts";
import type { Logprobs } from "../../contract/logprobs.ts";

type FinishReason = ChatCompletion["choices"][number]["finish_reason"];

const common = ({ id, created_ms, model }: JobState) => ({
  id: `chatcmpl-${id}`,
  created: Math.floor(created_ms / 1000),
  model,
});

/** The one answer of a job that succeeded. Throws what became of one that did not. */
export function answerOf(state: JobState, result: JobResult | null) {
  const [answer] = result?.answers ?? [];
  if (state.status !== "succeeded" || answer === undefined) throw notAnswered(state);
  // "cancelled" is of jobs that did not succeed.
  const finishReason: FinishReason = answer.finish_reason === "length" ? "length" : "stop";
  return { text: answer.answer, usage: answer.usage, logprobs: answer.logprobs ?? null, finishReason };
}

export function describeChat(state: JobState, result: JobResult | null): ChatCompletion {
  const { text, usage, logprobs, finishReason } = answerOf(state, result);
  return {
    ...common(state),
    object: "chat.completion",
    system_fingerprint: fingerprint(state),
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: text, refusal: null },
        logprobs,
        finish_reason: finishReason,
      },
    ],
    usage,
  };
}

const fingerprint = ({ engine }: JobState): string | null =>
  engine && `fp_${engine.model_revision.slice(0, 12)}_${engine.version}`;

export const describeChunk = (
  state: JobState,
  delta: ChatCompletionChunk["choices"][number]["delta"],
  { finishReason = null, logprobs = null }: { finishReason?: FinishReason | null; logprobs?: Logprobs | null } = {},
): ChatCompletionChunk => ({
  ...common(state),
  object: "chat.completion.chunk",
  choices: [{ index: 0, delta, logprobs, finish_reason: finishReason }],
});

export const describeUsage = (state: JobState, usage: Usage): ChatCompletionChunk => ({
  ...common(state),
  object: "chat.completion.chunk",
  choices: [],
  usage,
});

function notAnswered({ id, status, error }: JobState): AppError {
  if (status === "failed" && error !== null) {
    const code = error.code in ERRORS ? (error.code as ErrorCode) : "internal";
    return new AppError(code, `job ${id} failed: ${error.message}`, { detail: error.message });
  }
  return new AppError("job_not_succeeded", `job ${id} is ${status}`, {
    detail: `Job \`${id}\`, which was to answer this, ended as ${status}.`,
  });
}
