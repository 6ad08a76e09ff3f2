import type { ChatCompletion } from "./chat.ts";
import type { EngineInfo } from "./job.ts";
import type { JobResult } from "./job-result.ts";

type Answer = JobResult["answers"][number];

export type FinishReason = ChatCompletion["choices"][number]["finish_reason"];

type Head = {
  /** What stands behind `chatcmpl-`. */
  id: string;
  createdMs: number;
  model: string;
  engine: EngineInfo | null;
};

/** Of an answer that came to its end; "cancelled" is of jobs that did not succeed. */
export const finishReasonOf = ({ finish_reason }: Answer): FinishReason =>
  finish_reason === "length" ? "length" : "stop";

export const chatCompletion = ({ id, createdMs, model, engine }: Head, answer: Answer): ChatCompletion => ({
  id: `chatcmpl-${id}`,
  created: Math.floor(createdMs / 1000),
  model,
  object: "chat.completion",
  system_fingerprint: engine && `fp_${engine.model_revision.slice(0, 12)}_${engine.version}`,
  choices: [
    {
      index: 0,
      message: { role: "assistant", content: answer.answer, refusal: null },
      logprobs: answer.logprobs ?? null,
      finish_reason: finishReasonOf(answer),
    },
  ],
  usage: answer.usage,
});
