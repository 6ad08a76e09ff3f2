import { InvalidArgumentError } from "@commander-js/extra-typings";
import { isBatchId } from "./batch-lines.ts";

export function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("It must be a number.");
  return value;
}

/** A whole number above 0. */
export function parseCount(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("It must be a whole number above 0.");
  return value;
}

/** Of a job or a batch, or of a key: it becomes part of an address. */
export function parseId(text: string): string {
  if (!/^[\w-]+$/.test(text)) throw new InvalidArgumentError("An id has letters, digits, _ and - only.");
  return text;
}

export function parseJobId(text: string): string {
  if (isBatchId(text)) {
    throw new InvalidArgumentError(
      `That is a batch: \`gnomon status ${text}\` shows it, and \`gnomon result ${text}\` prints its results.`,
    );
  }
  return parseId(text);
}

/** For an argument that is given several times. */
export const parseIds = (text: string, before: string[] | undefined): string[] => [...(before ?? []), parseId(text)];

/** As a header can carry it. */
export function parseIdempotencyKey(text: string): string {
  if (!/^[\x20-\x7e]{1,255}$/.test(text)) {
    throw new InvalidArgumentError("It must be 1 to 255 printable ASCII characters, such as a UUID.");
  }
  return text;
}
