import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { Tokenizer } from "tokenizers";
import { type ChatMessage, loadChatTemplate } from "./chat-template.ts";
import { readModelFile } from "./model-file.ts";
import { maxPositions, PositionsConfig } from "./model-positions.ts";
import { hideSpecialTokens, TokenizerJson } from "./special-tokens.ts";
import { createTokenTexts, type TokenText } from "./token-text.ts";

/**
 * What a model is given: one user turn, `document` then `question`, or a conversation, both through the model's own chat
 * template and up to where the answer begins; or a bare text for it to go on from.
 */
export type Prompt = { document: string; question: string } | { messages: readonly ChatMessage[] } | { text: string };

export type { TokenText };

/** Between text and the token ids of one model. The tokenising itself runs off the event loop. */
export type Prompts = {
  /** Text that spells a special token stays text. */
  encode(prompt: Prompt): Promise<Uint32Array>;
  /** How many ids encode would give. They stay outside JavaScript, so that a long prompt holds nothing up. */
  count(prompt: Prompt): Promise<number>;
  /** The text of generated tokens, special ones left out. */
  decode(tokens: Uint32Array): Promise<string>;
  /** Each token by itself, special ones as they are spelled. */
  tokenTexts(ids: readonly number[]): Promise<TokenText[]>;
  /** Prompt and new tokens the model has positions for. */
  readonly maxPositions: number;
};

/** Reads a Hugging Face model directory. Rejects with EngineError invalid_model. */
export async function loadPrompts(modelDir: string): Promise<Prompts> {
  const [config, tokenizerJson, render] = await Promise.all([
    readModelFile(join(modelDir, "config.json"), PositionsConfig),
    readModelFile(join(modelDir, "tokenizer.json"), TokenizerJson),
    loadChatTemplate(modelDir),
  ]);
  const textOf = createTokenTexts(tokenizerJson);
  const hidden = hideSpecialTokens(tokenizerJson);
  const tokenizer = Tokenizer.fromString(JSON.stringify(tokenizerJson));
  tokenizer.disableTruncation();
  tokenizer.disablePadding();

  function shielded(prompt: Exclude<Prompt, { text: string }>): ChatMessage[] {
    if ("question" in prompt) {
      return [{ role: "user", content: hidden.shield(`${prompt.document}\n\n${prompt.question}`) }];
    }
    return prompt.messages.map(({ role, content }) => ({ role, content: hidden.shield(content) }));
  }

  async function tokenise(prompt: Prompt) {
    const bare = "text" in prompt;
    const text = bare ? hidden.shield(prompt.text) : render(shielded(prompt));
    return tokenizer.encode(hidden.reveal(text), null, { addSpecialTokens: bare });
  }

  return {
    maxPositions: maxPositions(config),
    async encode(prompt) {
      const ids = (await tokenise(prompt)).getIds();
      // Each of the two goes over every token on this thread: what waits gets its turn in between.
      await setImmediate();
      return Uint32Array.from(ids);
    },
    count: async (prompt) => (await tokenise(prompt)).getLength(),
    decode: (tokens) => tokenizer.decode(Array.from(tokens), true),
    tokenTexts: async (ids) => ids.map((id) => textOf(tokenizer, id)),
  };
}
