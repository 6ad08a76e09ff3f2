import { type AppError, ERRORS } from "../contract/errors.ts";

/** Where clients of OpenAI's API look for their kind of error. */
const OPENAI_PATH = /^\/v1\/(?:chat|models|files|batches)(?:\/|$)/;

export const isOpenAiPath = (path: string): boolean => OPENAI_PATH.test(path);

/** An error in OpenAI's words. */
export function openAiError(error: AppError) {
  const { title, status } = ERRORS[error.code];
  return {
    message: error.detail ?? `${title}.`,
    type: errorType(status),
    param: error.field ?? null,
    code: error.code,
  };
}

function errorType(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}
