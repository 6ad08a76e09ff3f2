import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { stringify } from "csv-stringify/sync";

/** One document, as it is written to summaries.jsonl and summaries.csv. */
export type SummaryRecord = {
  path: string;
  status: "succeeded" | "failed" | "pending";
  summary: string | null;
  /** The path of the document with the same content that was summarised. */
  duplicate_of: string | null;
  sections: number;
  prompt_tokens: number;
  cached_tokens: number;
  completion_tokens: number;
  /** A summary, or one of a section, reached the most tokens that it may have. */
  truncated: boolean;
  jobs: string[];
  error: string | null;
};

const COLUMNS = [
  "path",
  "status",
  "summary",
  "duplicate_of",
  "sections",
  "prompt_tokens",
  "cached_tokens",
  "completion_tokens",
  "truncated",
  "error",
] as const satisfies (keyof SummaryRecord)[];

/** Beside the text's own name, as two documents may differ only in their endings. */
export const writeSummary = (output: string, path: string, summary: string): Promise<void> =>
  replace(join(output, "summaries", `${path}.txt`), `${summary}\n`);

export async function writeTables(output: string, records: readonly SummaryRecord[]): Promise<void> {
  await replace(join(output, "summaries.jsonl"), records.map((record) => `${JSON.stringify(record)}\n`).join(""));
  // A spreadsheet would run a cell that begins like a formula, and the text is a stranger's.
  const csv = stringify([...records], { header: true, columns: [...COLUMNS], escape_formulas: true });
  await replace(join(output, "summaries.csv"), csv);
}

/** Whole or not at all. */
async function replace(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.part`, content);
  await rename(`${path}.part`, path);
}
