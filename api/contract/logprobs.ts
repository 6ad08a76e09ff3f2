import { z } from "zod";

const TokenLogprob = z.object({
  token: z.string(),
  logprob: z.number(),
  bytes: z
    .array(z.int())
    .nullable()
    .meta({ description: "UTF-8, as a token may end within a character; null where the model has no such token." }),
});

/** Of one answer, in OpenAI's form: an entry for each token, those of the stop string included that ended it. */
export const Logprobs = z
  .object({
    content: z.array(TokenLogprob.extend({ top_logprobs: z.array(TokenLogprob) })),
    refusal: z.null(),
  })
  .meta({ id: "Logprobs" });
export type Logprobs = z.infer<typeof Logprobs>;
