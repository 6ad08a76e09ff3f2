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

/** What is wrong with its lines, as far as the service lists it; at its end it says of how many more it knows. */
export function errorLines({ id, errors }: Pick<Batch, "id" | "errors">, most = Number.POSITIVE_INFINITY): string[] {
  const lines = errors?.data.map(({ message }) => message) ?? [];
  return lines.length > most ? [...lines.slice(0, most), `\`gnomon status ${id}\` lists more of them.`] : lines;
}

/** One line for the reader. */
export function batchLine({ id, status, request_counts: { total, completed, failed } }: Batch): string {
  if (status === "failed") return `Batch ${id} did not run.`;
  return `Batch ${id} is ${status}: ${count(completed)} of ${counted(total, "line")} answered, ${count(failed)} failed.`;
}

/** In the unit that a reader would take. */
function aboutSeconds(seconds: number): string {
  if (seconds < 1) return "less than a second";
  if (seconds < 90) return `about ${counted(Math.round(seconds), "second")}`;
  const minutes = seconds / 60;
  return minutes < 90
    ? `about ${counted(Math.round(minutes), "minute")}`
    : `about ${(minutes / 60).toPrecision(2)} hours`;
}

export function quoteLine({ quote }: Pick<Batch, "quote">): string {
  if (quote === null) return "Nothing is known of what it takes.";
  const { requests, prompt_tokens, max_total_tokens, estimated_hours, max_cost } = quote;
  const time = estimated_hours === null ? "" : `, ${aboutSeconds(estimated_hours * 3_600)}`;
  const cost = max_cost === null ? "" : `, at most ${max_cost.amount} ${max_cost.currency}`;
  return `${counted(requests, "line")}, ${counted(prompt_tokens, "prompt token")}, at most ${count(max_total_tokens)} in all${time}${cost}.`;
}
