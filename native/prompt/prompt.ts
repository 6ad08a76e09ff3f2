import type { ChatMessage } from "./chat-template.ts";
import { createPromptThread } from "./prompt-thread-client.ts";
import type { TokenText } from "./token-text.ts";

/**
 * What a model is given: one user turn, `document` then `question`, or a conversation, both through the model's own chat
 * template and up to where the answer begins; or a bare text for it to go on from.
 */
export type Prompt = { document: string; question: string } | { messages: readonly ChatMessage[] } | { text: string };

export type { TokenText };

/** Between text and the token ids of one model. All of it runs on a thread of its own. */
export type Prompts = {
  /** Text that spells a special token stays text. */
  encode(prompt: Prompt): Promise<Uint32Array>;
  /** How many ids encode would give; of more than twice maxPositions only about so many. */
  count(prompt: Prompt): Promise<number>;
  /** The text of generated tokens, special ones left out. */
  decode(tokens: Uint32Array): Promise<string>;
  /** Each token by itself, special ones as they are spelled. */
  tokenTexts(ids: readonly number[]): Promise<TokenText[]>;
  /** Prompt and new tokens the model has positions for. */
  readonly maxPositions: number;
};

/**
 * Reads a Hugging Face model directory. Rejects with EngineError invalid_model. Texts are megabytes long, and whatever
 * looks at each of their characters or tokens would hold up the event loop.
 */
export async function loadPrompts(modelDir: string): Promise<Prompts> {
  const thread = createPromptThread(modelDir);
  return {
    maxPositions: await thread.call("maxPositions"),
    encode: (prompt) => thread.call("encode", prompt),
    count: (prompt) => thread.call("count", prompt),
    decode: (tokens) => thread.call("decode", tokens),
    tokenTexts: (ids) => thread.call("tokenTexts", ids),
  };
}
