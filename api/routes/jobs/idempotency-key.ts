import { createHash } from "node:crypto";
import { z } from "@hono/zod-openapi";
import { AppError } from "../../contract/errors.ts";

/** The header of draft-ietf-httpapi-idempotency-key-header; bare keys, as many clients send them, are taken too. */
export const IdempotencyHeaders = z.object({
  "idempotency-key": z
    .string()
    .optional()
    .meta({
      pattern: "^[ -~]{1,255}$",
      description:
        "Names this request, so that it can be sent again without harm: the same key and body give the same job for as " +
        "long as that job is kept, another body gives 422. A quoted string of 1 to 255 printable ASCII characters.",
      examples: ['"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
    }),
});

export type Idempotency = {
  hash: string | null;
  /** Stands for the request that came with the key. */
  fingerprint: string;
};

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** Throws idempotency_key_invalid. `request` is what must be the same when the key comes again. */
export function parseIdempotencyKey(header: string | undefined, request: unknown): Idempotency {
  if (header === undefined) return { hash: null, fingerprint: "" };
  const key = /^"(.*)"$/s.exec(header)?.[1]?.replace(/\\(["\\])/g, "$1") ?? header;
  if (!/^[\x20-\x7e]{1,255}$/.test(key)) {
    throw new AppError("idempotency_key_invalid", "malformed Idempotency-Key", {
      detail: "`Idempotency-Key` must be a quoted string of 1 to 255 printable ASCII characters, such as a UUID.",
    });
  }
  return { hash: sha256(key), fingerprint: sha256(JSON.stringify(request)) };
}
