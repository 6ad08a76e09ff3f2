import type { BatchError, BatchErrorCode } from "../../api/contract/batch.ts";
import { BatchInputLine } from "../../api/contract/batch-line.ts";
import { CreateChatCompletion } from "../../api/contract/chat.ts";
import { describeIssues } from "../../api/contract/issues.ts";
import { limits } from "../../api/contract/limits.ts";
import type { JsonLine } from "../../api/state/json-lines.ts";

export type Expected = { endpoint: string; model: string };

export type ParsedLine = { number: number; customId: string; asked: CreateChatCompletion };

/** A line's request, or what is wrong with it. */
export function parseLine(line: JsonLine, { endpoint, model }: Expected): ParsedLine | BatchError {
  const { number } = line;
  const wrong = (code: BatchErrorCode, message: string, param: string | null = null): BatchError => ({
    code,
    line: number,
    message: `Line ${number}: ${message}`,
    param,
  });
  if (line.isTooLong) {
    return wrong("line_too_long", `it is longer than ${limits.requestBodyBytes.toLocaleString("en-US")} bytes.`);
  }
  const json = parseJson(line.text);
  if (json === undefined) return wrong("invalid_json_line", "it is not valid JSON in UTF-8: give one object a line.");

  const parsed = BatchInputLine.safeParse(json);
  if (!parsed.success) {
    const [first = { field: "body", detail: "is not valid" }] = describeIssues(parsed.error.issues);
    const code = first.field === "custom_id" ? "missing_custom_id" : "invalid_line";
    return wrong(code, `\`${first.field}\` ${first.detail}.`, first.field);
  }
  const { custom_id, method, url, body } = parsed.data;
  if (method !== "POST") return wrong("invalid_method", `\`method\` must be \`POST\`.`, "method");
  if (url !== endpoint) return wrong("url_mismatch", `\`url\` must be \`${endpoint}\`, as the batch has it.`, "url");
  if (body.model !== model) {
    return wrong("model_mismatch", `\`body.model\` must be \`${model}\`, which is served here.`, "body.model");
  }
  if (body.stream === true)
    return wrong("invalid_request", "`body.stream` must not be true in a batch.", "body.stream");

  const asked = CreateChatCompletion.safeParse(body);
  if (asked.success) return { number, customId: custom_id, asked: asked.data };
  const [first = { field: "", detail: "is not valid" }] = describeIssues(asked.error.issues);
  return wrong("invalid_request", `\`body.${first.field}\` ${first.detail}.`, `body.${first.field}`);
}

function parseJson(text: string | null): unknown {
  try {
    return text === null ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
