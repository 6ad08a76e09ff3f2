import type { Document } from "../../contract/document.ts";
import type { Client } from "../client.ts";
import { ProblemError } from "../problem-error.ts";
import type { Answer } from "./journal.ts";
import { countPromptTokens, tooLongBy } from "./measure.ts";
import { outlineOf, splitText } from "./split-text.ts";
import type { Step } from "./step.ts";

export type Settings = {
  instructions: string;
  maxTokens: number;
  /** Prompt and answer together, of the model. */
  contextTokens: number;
  /** The most tokens of one prompt. */
  sectionTokens: number;
  /** What is made of the summaries of sections: one summary of them all, or their sequence as it is. */
  combine: Combine;
};

export const COMBINE = ["summarize", "join"] as const;
export type Combine = (typeof COMBINE)[number];

export type Summary = {
  text: string;
  /** 1 where the whole document went into one prompt. */
  sections: number;
  answers: Answer[];
};

type Deps = { client: Pick<Client, "sendDocument" | "routes" | "text">; step: Step; settings: Settings };

/** Summaries of summaries: each level is many times shorter than the one before it. */
const MAX_LEVELS = 6;
/** The estimate of a section's tokens is off by less than this; a section that is too long all the same is split again. */
const MARGIN = 0.95;
/** Of a prompt, for the outline that all sections of a document begin with. */
const OUTLINE_SHARE = 0.05;
/** What the chat template may add to a prompt. */
const TEMPLATE_TOKENS = 256;

/** One prompt if the document fits the model; else its sections, and then a summary of their summaries. */
export async function summarizeDocument(name: string, document: Document, deps: Deps): Promise<Summary> {
  return summarizeStored(document, 0, deps, name);
}

async function summarizeStored(document: Document, level: number, deps: Deps, name: string): Promise<Summary> {
  const { client, step, settings } = deps;
  const { instructions: question } = settings;
  const room = Math.min(settings.sectionTokens, settings.contextTokens - settings.maxTokens);
  const promptTokens = await countUnlessShort(document, room, deps);
  if (promptTokens <= room) {
    const answer = await step({ documents: [document.id], question });
    return { text: answer.answer, sections: 1, answers: [answer] };
  }
  if (level === MAX_LEVELS) {
    throw new Error("The summaries of its sections are no shorter than it: lower --max-tokens.");
  }

  const text = await client.text(document.id);
  const tokensPerByte = promptTokens / document.text_bytes;
  // The same for all sections: each is read as a part of the whole. It is too short, beside a section, for the engine to
  // prefill it once for all of them (native/engine/prefix_group.h).
  const prefix = await client.sendDocument(prefixOf(name, text, (room * OUTLINE_SHARE) / tokensPerByte));
  const max = (room - prefix.text_bytes * tokensPerByte - Buffer.byteLength(question)) * MARGIN;
  const summaries = await mapSections({ text, max, tokensPerByte, prefixId: prefix.id }, deps);
  if (settings.combine === "join") {
    const texts = summaries.map(({ answer }) => answer.trim()).filter((answer) => answer !== "");
    return { text: texts.join("\n\n"), sections: summaries.length, answers: summaries };
  }
  const title = `Summaries of the sections of ${name}, in their order`;
  const joined = await client.sendDocument([`${title}:`, ...summaries.map(({ answer }) => answer)].join("\n\n"));
  const reduced = await summarizeStored(joined, level + 1, deps, title);
  return { text: reduced.text, sections: summaries.length, answers: [...summaries, ...reduced.answers] };
}

/** Counting costs the service a pass over the text, and no tokenizer makes more tokens than bytes. */
async function countUnlessShort(
  { id, text_bytes }: Document,
  room: number,
  { client, settings }: Deps,
): Promise<number> {
  const { instructions: question, maxTokens: max_tokens } = settings;
  const atMost = text_bytes + Buffer.byteLength(question) + TEMPLATE_TOKENS;
  return atMost <= room ? atMost : countPromptTokens(client, { document: { id }, question, max_tokens });
}

type Sections = { text: string; max: number; tokensPerByte: number; prefixId: string };

async function mapSections({ text, max, tokensPerByte, prefixId }: Sections, deps: Deps): Promise<Answer[]> {
  const { client, step, settings } = deps;
  if (max < 4 * settings.maxTokens) {
    throw new Error(
      "Sections of this size are hardly longer than their summaries: lower --max-tokens, or raise --section-tokens.",
    );
  }
  const sections = splitText(text, max, (piece) => Buffer.byteLength(piece) * tokensPerByte);
  const answers = await Promise.all(
    sections
      .filter((section) => section.trim() !== "")
      .map(async (section) => {
        const { id } = await client.sendDocument(section);
        try {
          return [await step({ documents: [prefixId, id], question: settings.instructions })];
        } catch (error) {
          // This part of the text has more tokens to a byte than the whole.
          const tokens = error instanceof ProblemError ? tooLongBy(error) : null;
          if (tokens === null) throw error;
          return mapSections(
            { text: section, max, tokensPerByte: tokens / Buffer.byteLength(section), prefixId },
            deps,
          );
        }
      }),
  );
  return answers.flat();
}

function prefixOf(name: string, text: string, maxCharacters: number): string {
  const outline = outlineOf(text, maxCharacters);
  const headings = outline.length === 0 ? [] : ["The whole has these headings:", ...outline];
  return [`A section of ${name}.`, ...headings].join("\n");
}
