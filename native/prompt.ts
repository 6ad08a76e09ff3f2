import { join } from "node:path";
import { Tokenizer } from "tokenizers";
import { z } from "zod";
import { loadChatTemplate } from "./chat-template.ts";
import { readModelFile } from "./model-file.ts";
import { hideSpecialTokens, TokenizerJson } from "./special-tokens.ts";

/** Between text and the token ids of one model. The tokenising itself runs off the event loop. */
export type Prompts = {
  /**
   * One user turn, `document` then `question`, through the model's own chat template, up to where the answer begins.
   * Text that spells a special token stays text.
   */
  encode(turn: { document: string; question: string }): Promise<Uint32Array>;
  /** The text of generated tokens, special ones left out. */
  decode(tokens: Uint32Array): Promise<string>;
  /** Prompt and new tokens the model has positions for. */
  readonly maxPositions: number;
};

const ModelConfig = z.looseObject({ max_position_embeddings: z.int().positive() });

/** Reads a Hugging Face model directory. Rejects with EngineError invalid_model. */
export async function loadPrompts(modelDir: string): Promise<Prompts> {
  const [config, tokenizerJson, render] = await Promise.all([
    readModelFile(join(modelDir, "config.json"), ModelConfig),
    readModelFile(join(modelDir, "tokenizer.json"), TokenizerJson),
    loadChatTemplate(modelDir),
  ]);
  const hidden = hideSpecialTokens(tokenizerJson);
  const tokenizer = Tokenizer.fromString(JSON.stringify(tokenizerJson));
  tokenizer.disableTruncation();
  tokenizer.disablePadding();

  return {
    maxPositions: config.max_position_embeddings,
    async encode({ document, question }) {
      const rendered = render(hidden.shield(`${document}\n\n${question}`));
      const encoding = await tokenizer.encode(hidden.reveal(rendered), null, { addSpecialTokens: false });
      return Uint32Array.from(encoding.getIds());
    },
    decode: (tokens) => tokenizer.decode(Array.from(tokens), true),
  };
}
