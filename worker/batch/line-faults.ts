import type { BatchError, BatchErrorCode } from "../../api/contract/batch.ts";
import { counted } from "../../api/contract/counted.ts";
import { limits } from "../../api/contract/limits.ts";
import type { LineFault } from "./parse-line.ts";

export const faultOfFile = (code: BatchErrorCode, message: string): BatchError => ({
  code,
  line: null,
  message,
  param: null,
});

/** What is wrong with the lines of a batch, as much of it as a batch shows; that for which none of them runs goes first. */
export function createLineFaults() {
  const ofFile: BatchError[] = [];
  const ofLines: BatchError[] = [];
  const counts = { ofFile: 0, ofLines: 0 };

  return {
    add({ customId, error }: LineFault): void {
      const [kind, kept] = customId === null ? (["ofFile", ofFile] as const) : (["ofLines", ofLines] as const);
      counts[kind] += 1;
      if (kept.length < limits.batchErrors) kept.push(error);
    },

    counts: () => ({ ...counts }),

    /** In the order of the lines. */
    list(): BatchError[] {
      const shown = [...ofFile, ...ofLines].slice(0, limits.batchErrors);
      shown.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
      const more = counts.ofFile + counts.ofLines - shown.length;
      return more === 0
        ? shown
        : [...shown, faultOfFile("more_errors", `${counted(more, "more line is", "more lines are")} not valid.`)];
    },
  };
}
