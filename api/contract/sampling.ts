import { z } from "zod";
import { limits } from "./limits.ts";

const Stop = z.string().min(1).max(limits.stopCharacters);
const MAX_TOP_LOGPROBS = 20;

/** How tokens are chosen and what is told of them, with OpenAI's names where it has them. */
export const samplingFields = {
  temperature: z.number().min(0).max(2).meta({ description: "0 takes the likeliest token each time." }),
  top_p: z.number().gt(0).max(1),
  top_k: z.int().min(0).meta({ description: "Not OpenAI's; 0 is off." }),
  min_p: z.number().min(0).max(1).meta({
    description: "Not OpenAI's. Least probability of a token, as a share of the likeliest one's; 0 is off.",
  }),
  repetition_penalty: z.number().min(0.01).max(100).meta({
    description: "Not OpenAI's. Divides the logits of tokens that prompt or answer have had; 1 is off.",
  }),
  presence_penalty: z.number().min(-2).max(2),
  frequency_penalty: z.number().min(-2).max(2),
  stop: z
    .union([Stop, z.array(Stop).max(limits.stopStrings)], {
      error: `must be a text or a list of at most ${limits.stopStrings} texts, each of 1 to ${limits.stopCharacters} characters`,
    })
    .meta({ description: "Ends the answer before the first of these strings, wherever tokens divide it." }),
  seed: z.int(),
  ignore_eos: z.boolean().meta({
    description: "Not OpenAI's. Generate `max_tokens` whatever the model says; stop strings still end the answer.",
  }),
  logprobs: z.boolean().meta({
    description: "Log-probability of each token of the answer, out of the model's own distribution.",
  }),
  top_logprobs: z.int().min(0).max(MAX_TOP_LOGPROBS).meta({
    description: "Of so many of the likeliest tokens at each place; needs `logprobs`.",
  }),
};

/** What a job has where its client says nothing. */
export const samplingDefaults = {
  temperature: samplingFields.temperature.default(0),
  top_p: samplingFields.top_p.default(1),
  top_k: samplingFields.top_k.default(0),
  min_p: samplingFields.min_p.default(0),
  repetition_penalty: samplingFields.repetition_penalty.default(1),
  presence_penalty: samplingFields.presence_penalty.default(0),
  frequency_penalty: samplingFields.frequency_penalty.default(0),
  stop: samplingFields.stop.default([]),
  seed: samplingFields.seed.min(0).default(0),
  ignore_eos: samplingFields.ignore_eos.default(false),
  logprobs: samplingFields.logprobs.default(false),
  top_logprobs: samplingFields.top_logprobs.default(0),
};

/** The part of a stored request, or of a job that is asked for, that says how tokens are chosen. */
export const Sampling = z.object({
  ...samplingDefaults,
  stop: samplingDefaults.stop.transform((stop) => (typeof stop === "string" ? [stop] : stop)),
});
export type Sampling = z.infer<typeof Sampling>;

/** What is wrong with `top_logprobs` beside `logprobs`; null if nothing is. */
export function topLogprobsFault(asked: {
  logprobs?: boolean | null | undefined;
  top_logprobs?: number | null | undefined;
}): string | null {
  if (asked.logprobs || !asked.top_logprobs) return null;
  return "needs `logprobs`: set that to true, or leave this out";
}
