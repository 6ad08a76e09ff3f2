import { join } from "node:path";
import { Tokenizer } from "tokenizers";
import { type ChatMessage, loadChatTemplate } from "./chat-template.ts";
import { readModelFile } from "./model-file.ts";
import { maxPositions, PositionsConfig } from "./model-positions.ts";
import type { Prompt, Prompts } from "./prompt.ts";
import { hideSpecialTokens, TokenizerJson } from "./special-tokens.ts";
import { createTokenTexts } from "./token-text.ts";

/** Of a text that is too long by far as much is tokenised at once: each token takes more than a hundred bytes meanwhile. */
const PIECE_CHARACTERS = 65_536;

/** Reads a Hugging Face model directory, to run on this thread. Rejects with EngineError invalid_model. */
export async function openTokeniser(modelDir: string): Promise<Prompts> {
  // One after the other, so that of several faults the same one is told each time.
  const config = await readModelFile(join(modelDir, "config.json"), PositionsConfig);
  const tokenizerJson = await readModelFile(join(modelDir, "tokenizer.json"), TokenizerJson);
  const render = await loadChatTemplate(modelDir);
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

  const revealed = (prompt: Prompt): string =>
    hidden.reveal("text" in prompt ? hidden.shield(prompt.text) : render(shielded(prompt)));
  const encode = (text: string, addSpecialTokens: boolean) => tokenizer.encode(text, null, { addSpecialTokens });
  const positions = maxPositions(config);

  /** About how many tokens a text has, by as much of it as has twice what the model takes; null if it has no more than that. */
  async function estimate(text: string): Promise<number | null> {
    let tokens = 0;
    for (let end = PIECE_CHARACTERS; end - PIECE_CHARACTERS < text.length; end += PIECE_CHARACTERS) {
      tokens += (await encode(text.slice(end - PIECE_CHARACTERS, end), false)).getLength();
      if (tokens > 2 * positions) return Math.ceil(tokens * Math.max(1, text.length / end));
    }
    return null;
  }

  return {
    maxPositions: positions,
    async encode(prompt) {
      return Uint32Array.from((await encode(revealed(prompt), "text" in prompt)).getIds());
    },
    async count(prompt) {
      const text = revealed(prompt);
      // Four characters a token, as in plain English: most that is longer does not fit, and what does is tokenised twice.
      const about = text.length > 4 * positions ? await estimate(text) : null;
      return about ?? (await encode(text, "text" in prompt)).getLength();
    },
    decode: (tokens) => tokenizer.decode(Array.from(tokens), true),
    tokenTexts: async (ids) => ids.map((id) => textOf(tokenizer, id)),
  };
}
