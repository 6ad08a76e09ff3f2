import { randomUUID } from "node:crypto";
import { z } from "zod";

const Bpe = z.looseObject({
  type: z.literal("BPE").optional(),
  // Not z.record, which copies 128,000 entries and loses "__proto__".
  vocab: z.custom<Record<string, number>>((value) => typeof value === "object" && !Array.isArray(value)),
  unk_token: z.string().nullish(),
});
const AddedToken = z.looseObject({ id: z.int(), content: z.string().min(1), special: z.boolean() });
const Decoder = z.looseObject({ type: z.string() });
/** The part of a Hugging Face tokenizer.json that is looked at here. */
export const TokenizerJson = z.looseObject({
  added_tokens: z.array(AddedToken),
  model: Bpe,
  decoder: Decoder.extend({ decoders: z.array(Decoder).optional() }).nullish(),
});
export type TokenizerJson = z.output<typeof TokenizerJson>;

export type HiddenSpecialTokens = {
  /** Text in which nothing spells a special token, to be put into a chat template. */
  shield(text: string): string;
  /** What the template made of it: shielded text restored, the template's own special tokens under their new names. */
  reveal(rendered: string): string;
};

/**
 * Gives the special tokens of `tokenizer`, in place, names that no document can contain.
 *
 * A tokenizer takes every `<|eot_id|>` for the end of a turn, wherever it stands, so that a document could speak as
 * someone else. Renaming the tokens, rather than encoding the document apart, leaves the text in one piece: its ids are
 * those of the unchanged tokenizer.
 */
export function hideSpecialTokens(tokenizer: TokenizerJson): HiddenSpecialTokens {
  const secret = randomUUID();
  const specials = tokenizer.added_tokens.filter((token) => token.special);
  const newNames = new Map(specials.map(({ id, content }) => [content, `{${secret}:${id}}`]));
  // A special token without its first character is none: that is all that shielding takes away.
  const initials = [...new Set(specials.map(({ content }) => String.fromCodePoint(content.codePointAt(0) ?? 0)))];
  const standIns = new Map(initials.map((initial, index) => [initial, `{${secret}/${index}}`]));
  const revealed = new Map([
    ...newNames,
    ...initials.map((initial) => [standIns.get(initial) ?? "", initial] as const),
  ]);

  rename(tokenizer, newNames);
  return {
    shield: createReplacer(standIns),
    reveal: createReplacer(revealed),
  };
}

/** In place: a vocabulary is large. */
function rename({ added_tokens, model }: TokenizerJson, newNames: ReadonlyMap<string, string>): void {
  for (const token of added_tokens) {
    if (token.special) token.content = newNames.get(token.content) ?? token.content;
  }
  for (const [token, newName] of newNames) {
    const id = model.vocab[token];
    if (id === undefined) continue;
    delete model.vocab[token];
    model.vocab[newName] = id;
  }
  if (model.unk_token != null) model.unk_token = newNames.get(model.unk_token) ?? model.unk_token;
}

/** Replaces all keys in one pass, of several at one place the longest. */
function createReplacer(replacements: ReadonlyMap<string, string>): (text: string) => string {
  if (replacements.size === 0) return (text) => text;
  const keys = [...replacements.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(keys.map((key) => key.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|"), "gu");
  return (text) => text.replace(pattern, (key) => replacements.get(key) ?? key);
}
