import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { AppError, ERRORS } from "../contract/errors.ts";
import type { Problem } from "../contract/problem.ts";
import { isOpenAiPath, openAiError } from "./openai-error.ts";

/** The response for an error. Title and status come from its code; the operator's message stays here. */
export function problemResponse(c: Context, error: AppError): Response {
  const { title, status } = ERRORS[error.code];
  const problem: Problem = {
    type: `/problems/${error.code}`,
    title,
    status,
    detail: error.detail ?? `${title}.`,
    instance: `urn:uuid:${c.get("requestId")}`,
    code: error.code,
    ...(error.field === undefined ? {} : { field: error.field }),
    ...error.extra,
    ...(isOpenAiPath(c.req.path) ? { error: openAiError(error) } : {}),
  };
  // OpenAI's clients try some errors again that stay as they are.
  if (isOpenAiPath(c.req.path)) c.header("X-Should-Retry", String(error.retryable));
  if (status === 401) c.header("WWW-Authenticate", "Bearer");
  return c.body(JSON.stringify(problem), status as ContentfulStatusCode, {
    "Content-Type": "application/problem+json",
    ...(error.retryAfterSeconds === undefined ? {} : { "Retry-After": String(Math.ceil(error.retryAfterSeconds)) }),
  });
}

/** Whatever was thrown, as an AppError. Of Hono's own refusals only malformed JSON is left to name. */
export async function toAppError(thrown: unknown, c: Context): Promise<AppError> {
  if (thrown instanceof AppError) return thrown;
  if (thrown instanceof HTTPException && thrown.status === 400) return malformedJson(c);
  return new AppError("internal", thrown instanceof Error ? thrown.message : String(thrown), {
    detail: "The service failed to handle the request. Try again; if it fails again, report `instance`.",
    cause: thrown,
  });
}

async function malformedJson(c: Context): Promise<AppError> {
  const text = await c.req.text();
  if (text.trim() === "") {
    return new AppError("malformed_json", "empty body", { detail: "The body is empty: send one JSON object." });
  }
  const where = jsonErrorPosition(text);
  return new AppError("malformed_json", "malformed JSON", {
    detail: `The body is not valid JSON${where}; send one JSON object.`,
  });
}

/** Where the text stops being JSON, if the parser says so. Its message as a whole may quote the body. */
function jsonErrorPosition(text: string): string {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    const position = /at position \d+(?: \(line \d+ column \d+\))?|Unexpected end of JSON input/.exec(
      String(error),
    )?.[0];
    if (position === undefined) return "";
    return position.startsWith("at") ? `: it breaks ${position}` : ": it ends too early";
  }
}
