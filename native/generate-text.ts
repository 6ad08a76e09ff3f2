import type { Engine, GenerateControl, GenerateOptions, GenerateResult } from "./index.ts";
import { settledLength, stopIndex } from "./stop-strings.ts";

/** The answer ended at a stop string: `text` does not hold it, and `tokens` end with the one that completed it. */
export type TextResult = GenerateResult & { text: string };

/** Of UTF-8, in a unit of JavaScript's strings. */
const BYTES_A_UNIT = 3;

/** A character whose other bytes are in the tokens to come. */
const UNFINISHED = /�+$/;

type Decode = (tokens: Uint32Array) => Promise<string>;

/**
 * Generates until the model stops, the tokens run out or the text holds one of `stop`. Stop strings are looked for in the
 * text, so it does not matter how tokens divide them. The engine runs on for the few steps that decoding takes; what it
 * made in them is dropped.
 */
export async function generateText(
  { engine, decode }: { engine: Engine; decode: Decode },
  { stop, ...request }: GenerateOptions & { stop: readonly string[] },
  control: Omit<GenerateControl, "finish"> = {},
): Promise<TextResult> {
  if (stop.length === 0) {
    const result = await engine.generate(request, control);
    return { ...result, text: await decode(result.tokens) };
  }
  const finish = new AbortController();
  const watch = createWatch(decode, stop, () => finish.abort());
  const result = await engine.generate(request, {
    ...control,
    finish: finish.signal,
    onTokens(tokens) {
      watch.add(tokens);
      control.onTokens?.(tokens);
    },
  });
  const whole = await decode(result.tokens);
  const text = cutAtStop(whole, stop);
  if (text === whole) return { ...result, text };

  const tokens = result.tokens.slice(0, await tokensUntil(result.tokens, decode, stop));
  const logprobs = result.logprobs && { logprobs: result.logprobs.slice(0, tokens.length) };
  return { ...result, ...logprobs, tokens, finishReason: "stop", text };
}

export function cutAtStop(text: string, stop: readonly string[]): string {
  const end = stopIndex(text, stop);
  return end < 0 ? text : text.slice(0, end);
}

/** As much of an unfinished text as stays, whatever comes. */
export function settledText(text: string, stop: readonly string[]): string {
  const whole = text.replace(UNFINISHED, "");
  return whole.slice(0, settledLength(whole, stop));
}

/** Decodes what is new, one call at a time, and calls `onStop` once the text holds a stop string. */
function createWatch(decode: Decode, stop: readonly string[], onStop: () => void) {
  // What was seen already and may hold the beginning of a stop string: at worst its tokens are single bytes.
  const overlap = BYTES_A_UNIT * Math.max(...stop.map(({ length }) => length));
  const tokens: number[] = [];
  let decoding = false;
  let found = false;
  const look = async () => {
    decoding = true;
    for (let seen = 0; !found && seen < tokens.length; ) {
      const from = Math.max(0, seen - overlap);
      seen = tokens.length;
      found = stopIndex(await decode(Uint32Array.from(tokens.slice(from))), stop) >= 0;
    }
    decoding = false;
    if (found) onStop();
  };
  return {
    add(more: Uint32Array) {
      tokens.push(...more);
      // A failure to decode shows when the whole answer is decoded.
      if (!decoding && !found) look().catch(() => {});
    },
  };
}

/** The fewest tokens whose text holds a stop string. */
async function tokensUntil(tokens: Uint32Array, decode: Decode, stop: readonly string[]): Promise<number> {
  let without = 0;
  let within = tokens.length;
  while (within - without > 1) {
    const middle = (without + within) >> 1;
    if (stopIndex(await decode(tokens.subarray(0, middle)), stop) >= 0) within = middle;
    else without = middle;
  }
  return within;
}
