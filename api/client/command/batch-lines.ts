import type { Batch } from "../../contract/batch-resource.ts";
import { counted } from "../../contract/counted.ts";
import type { ProgressLine } from "./progress.ts";

export const isBatchId = (id: string): boolean => id.startsWith("batch_");

const count = (value: number): string => value.toLocaleString("en-US");

export function batchProgress({ status, request_counts }: Pick<Batch, "status" | "request_counts">): ProgressLine[] {
  const { total, completed, failed } = request_counts;
  const note = failed === 0 ? status : `${status}, ${count(failed)} failed`;
  return [{ name: "batch", value: completed + failed, total, unit: "line", note }];
}

/** What is wrong with its lines, as many of them as are worth reading. */
export function errorLines({ errors }: Pick<Batch, "errors">, most = 20): string[] {
  const all = errors?.data ?? [];
  const lines = all.slice(0, most).map(({ message }) => message);
  return all.length > most ? [...lines, `and ${count(all.length - most)} more`] : lines;
}

/** One line for the reader. */
export function batchLine({ id, status, request_counts: { total, completed, failed } }: Batch): string {
  if (status === "failed") return `Batch ${id} did not run.`;
  return `Batch ${id} is ${status}: ${count(completed)} of ${counted(total, "line")} answered, ${count(failed)} failed.`;
}

export function quoteLine({ quote }: Pick<Batch, "quote">): string {
  if (quote === null) return "Nothing is known of what it takes.";
  const { requests, prompt_tokens, max_total_tokens, estimated_hours, max_cost } = quote;
  const hours = estimated_hours === null ? "" : `, about ${estimated_hours.toPrecision(2)} hours`;
  const cost = max_cost === null ? "" : `, at most ${max_cost.amount} ${max_cost.currency}`;
  return `${counted(requests, "line")}, ${counted(prompt_tokens, "prompt token")}, at most ${count(max_total_tokens)} in all${hours}${cost}.`;
}
