import type { ChatCompletion, ChatCompletionChunk } from "../../contract/chat.ts";
import { chatCompletion, type FinishReason, finishReasonOf } from "../../contract/chat-answer.ts";
import { AppError, ERRORS, type ErrorCode } from "../../contract/errors.ts";
import type { JobState, Usage } from "../../contract/job.ts";
import type { JobResult } from "../../contract/job-result.ts";
import type { Logprobs } from "../../contract/logprobs.ts";

const common = ({ id, created_ms, model }: JobState) => ({
  id: `chatcmpl-${id}`,
  created: Math.floor(created_ms / 1000),
  model,
});

/** The one answer of a job that succeeded. Throws what became of one that did not. */
export function answerOf(state: JobState, result: JobResult | null) {
  const answer = endedAnswer(state, result);
  const { answer: text, usage, logprobs = null } = answer;
  return { text, usage, logprobs, finishReason: finishReasonOf(answer) };
}

function endedAnswer(state: JobState, result: JobResult | null): JobResult["answers"][number] {
  const [answer] = result?.answers ?? [];
  if (state.status !== "succeeded" || answer === undefined) throw notAnswered(state);
  return answer;
}

export function describeChat(state: JobState, result: JobResult | null): ChatCompletion {
  const { id, created_ms, model, engine } = state;
  return chatCompletion({ id, createdMs: created_ms, model, engine }, endedAnswer(state, result));
}

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
