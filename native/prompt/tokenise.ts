import { join } from "node:path";
import { Tokenizer } from "tokenizers";
import { type ChatMessage, loadChatTemplate } from "./chat-template.ts";
import { readModelFile } from "./model-file.ts";
import { maxPositions, PositionsConfig } from "./model-positions.ts";
import type { Prompt, Prompts } from "./prompt.ts";
import { hideSpecialTokens, TokenizerJson } from "./special-tokens.ts";
import { createTokenTexts } from "./token-text.ts";

/** Reads a Hugging Face model directory, to run on this thread. Rejects with EngineError invalid_model. */
export async function openTokeniser(modelDir: string): Promise<Prompts> {
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
      return Uint32Array.from((await tokenise(prompt)).getIds());
    },
    count: async (prompt) => (await tokenise(prompt)).getLength(),
    decode: (tokens) => tokenizer.decode(Array.from(tokens), true),
    tokenTexts: async (ids) => ids.map((id) => textOf(tokenizer, id)),
  };
}
