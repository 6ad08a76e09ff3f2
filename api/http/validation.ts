import type { z } from "zod";
import { AppError } from "../contract/errors.ts";
import { describeIssues } from "../contract/issues.ts";
import { limits } from "../contract/limits.ts";

/** For @hono/zod-openapi's defaultHook: every offending field with what to do about it. */
export function refuseInvalid(
  result: { success: true } | { success: false; error: { issues: readonly z.core.$ZodIssue[] } },
): void {
  if (result.success) return;
  const errors = describeIssues(result.error.issues);
  const [first] = errors;
  const others = errors.length < limits.shownIssues ? `${errors.length - 1} more` : "many more";
  const more = errors.length > 1 ? ` (and ${others}, see \`errors\`)` : "";
  throw new AppError("invalid_request", "request does not match its schema", {
    detail: first ? `\`${first.field}\` ${first.detail}${more}.` : "The request does not match its schema.",
    ...(first ? { field: first.field } : {}),
    extra: { errors },
  });
}
