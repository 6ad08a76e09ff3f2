import type { Logprobs } from "../../api/contract/logprobs.ts";
import type { GenerateResult } from "../../native/index.ts";
import type { TokenText } from "../../native/prompt/prompt.ts";

/** OpenAI's number for a token that is next to impossible; JSON has no infinity. */
const LEAST_LOGPROB = -9999;

/** The engine's log-probabilities with the text of each token. */
export async function describeLogprobs(
  { tokens, logprobs = [] }: Pick<GenerateResult, "tokens" | "logprobs">,
  tokenTexts: (tokens: readonly number[]) => Promise<TokenText[]>,
): Promise<Logprobs> {
  const ids = [...new Set([...tokens, ...logprobs.flatMap(({ top }) => top.map(({ token }) => token))])];
  const texts = new Map((await tokenTexts(ids)).map((text, index) => [ids[index], text]));
  const describe = (token: number | undefined, logprob: number) => ({
    ...(texts.get(token) ?? { token: "", bytes: null }),
    logprob: Math.max(LEAST_LOGPROB, logprob),
  });
  return {
    content: logprobs.map(({ logprob, top }, index) => ({
      ...describe(tokens[index], logprob),
      top_logprobs: top.map((alternative) => describe(alternative.token, alternative.logprob)),
    })),
    refusal: null,
  };
}
