import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Template } from "@huggingface/jinja";
import { z } from "zod";
import { EngineError } from "../engine-error.ts";
import { readModelFile } from "./model-file.ts";

const NamedTemplates = z.array(z.object({ name: z.string(), template: z.string() }));
const TokenizerConfig = z.looseObject({ chat_template: z.union([z.string(), NamedTemplates]).optional() });
type TokenizerConfig = z.output<typeof TokenizerConfig>;

const SpecialToken = z.union([z.string(), z.looseObject({ content: z.string() }).transform(({ content }) => content)]);

export type ChatMessage = { role: string; content: string };

/** How the model wants a conversation written, the opening of its next answer included. */
export async function loadChatTemplate(modelDir: string): Promise<(messages: readonly ChatMessage[]) => string> {
  const config = await readModelFile(join(modelDir, "tokenizer_config.json"), TokenizerConfig);
  const source = (await readTemplateFile(modelDir)) ?? pickTemplate(config);
  if (source === undefined) {
    throw new EngineError("invalid_model", `${modelDir} has no chat template: it needs a chat_template.jinja file`);
  }
  const template = new Template(source);
  const variables = { ...tokenVariables(config), add_generation_prompt: true };
  return (messages) => {
    try {
      return template.render({ ...variables, messages });
    } catch (cause) {
      // Templates raise_exception() on roles or an order that the model was not trained on.
      const reason = (cause as Error).message;
      throw new EngineError("invalid_request", `the model's chat template refuses this conversation: ${reason}`, {
        cause,
      });
    }
  };
}

/** Newer models keep the template in a file of its own, which then counts. */
async function readTemplateFile(modelDir: string): Promise<string | undefined> {
  const path = join(modelDir, "chat_template.jinja");
  return existsSync(path) ? readFile(path, "utf8") : undefined;
}

function pickTemplate({ chat_template: template }: TokenizerConfig): string | undefined {
  if (!Array.isArray(template)) return template;
  return template.find(({ name }) => name === "default")?.template;
}

/** `bos_token` and its like, which templates refer to. */
function tokenVariables(config: TokenizerConfig): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const [key, value] of Object.entries(config)) {
    const token = SpecialToken.safeParse(value);
    if (key.endsWith("_token") && token.success) variables[key] = token.data;
  }
  return variables;
}
