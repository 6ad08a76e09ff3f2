import type { BatchError, BatchErrorCode } from "../../api/contract/batch.ts";
import { BatchInputLine } from "../../api/contract/batch-line.ts";
import { CreateChatCompletion } from "../../api/contract/chat.ts";
import { describeIssues } from "../../api/contract/issues.ts";
import { jsonFault } from "../../api/contract/json-shape.ts";
import { limits } from "../../api/contract/limits.ts";
import type { JsonLine } from "../../api/state/json-lines.ts";

export type Expected = { endpoint: string; model: string };

export type ParsedLine = { number: number; customId: string; asked: CreateChatCompletion };

/**
 * What is wrong with a line. With a `customId` it is the line's own fault: it gets this as its result, and the others run.
 * Without one the file is not the input of a batch.
 */
export type LineFault = { customId: string | null; error: BatchError };

export const isFault = (line: ParsedLine | LineFault): line is LineFault => "error" in line;

export function lineFault(
  { number, customId }: { number: number; customId: string | null },
  code: BatchErrorCode,
  message: string,
  param: string | null = null,
): LineFault {
  return { customId, error: { code, line: number, message: `Line ${number}: ${message}`, param } };
}

/** A line's request, or what is wrong with it. */
export function parseLine(line: JsonLine, { endpoint, model }: Expected): ParsedLine | LineFault {
  const { number } = line;
  const ofFile = (...what: [BatchErrorCode, string, string?]) => lineFault({ number, customId: null }, ...what);
  if (line.isTooLong) {
    return ofFile("line_too_long", `it is longer than ${limits.requestBodyBytes.toLocaleString("en-US")} bytes.`);
  }
  const fault = line.text === null ? null : jsonFault(line.text, limits.json);
  if (fault !== null) {
    const is = {
      depth: `is nested more than ${limits.json.depth} deep`,
      values: `has more than ${limits.json.values} values`,
    };
    return ofFile("invalid_json_line", `its JSON ${is[fault]}.`);
  }
  const json = parseJson(line.text);
  if (json === undefined) return ofFile("invalid_json_line", "it is not valid JSON in UTF-8: give one object a line.");

  const parsed = BatchInputLine.safeParse(json);
  if (!parsed.success) {
    const [first = { field: "body", detail: "is not valid" }] = describeIssues(parsed.error.issues);
    const code = first.field === "custom_id" ? "missing_custom_id" : "invalid_line";
    return ofFile(code, `\`${first.field}\` ${first.detail}.`, first.field);
  }
  const { custom_id: customId, method, url, body } = parsed.data;
  if (method !== "POST") return ofFile("invalid_method", `\`method\` must be \`POST\`.`, "method");
  if (url !== endpoint) return ofFile("url_mismatch", `\`url\` must be \`${endpoint}\`, as the batch has it.`, "url");
  if (body.model !== model) {
    return ofFile("model_mismatch", `\`body.model\` must be \`${model}\`, which is served here.`, "body.model");
  }

  const own = { number, customId };
  if (body.stream === true) {
    return lineFault(own, "invalid_request", "`body.stream` must not be true in a batch.", "body.stream");
  }
  const asked = CreateChatCompletion.safeParse(body);
  if (asked.success) return { ...own, asked: asked.data };
  const [first = { field: "", detail: "is not valid" }] = describeIssues(asked.error.issues);
  return lineFault(own, "invalid_request", `\`body.${first.field}\` ${first.detail}.`, `body.${first.field}`);
}

function parseJson(text: string | null): unknown {
  try {
    return text === null ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
