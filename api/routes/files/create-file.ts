import { z } from "@hono/zod-openapi";
import { AppError } from "../../contract/errors.ts";
import { CreateFileFields, ExpiresAfter, File } from "../../contract/file.ts";
import { limits } from "../../contract/limits.ts";
import { payloadTooLarge } from "../../http/body-limits.ts";
import { mediaTypes } from "../../http/media-types.ts";
import { BESIDE_FILE_BYTES, receiveMultipart } from "../../http/multipart.ts";
import { createRouter, problemResponses } from "../../http/router.ts";
import { refuseInvalid } from "../../http/validation.ts";
import { bounded } from "../../state/byte-streams.ts";
import type { FileStore } from "../../state/files/file-store.ts";
import { describeFile } from "./describe-file.ts";

const path = "/v1/files";

/** Registered and not declared: a declared form would be read into memory before the route sees it. */
const description = {
  method: "post",
  path,
  summary: "Upload the input of a batch",
  description:
    "A multipart form as OpenAI's clients send it: `file`, JSON lines of up to 200 MB, and `purpose`. It is streamed " +
    "to the store, and expires after 30 days unless `expires_after` says otherwise.",
  request: {
    body: {
      content: {
        "multipart/form-data": {
          schema: z.object({
            file: z.string().meta({ format: "binary" }),
            purpose: z.literal("batch"),
            "expires_after[anchor]": z.literal("created_at").optional(),
            "expires_after[seconds]": ExpiresAfter.shape.seconds.optional(),
          }),
        },
      },
    },
  },
  responses: {
    200: { description: "Stored.", content: { "application/json": { schema: File } } },
    ...problemResponses(400, 413, 415),
  },
} as const;

export const createFileRoute = (files: FileStore) => {
  const router = createRouter();
  router.openAPIRegistry.registerPath(description);
  return router.post(path, mediaTypes("multipart/form-data"), async (c) => {
    if (Number(c.req.header("content-length")) > limits.batchFileBytes + BESIDE_FILE_BYTES) throw tooLarge();
    const tenant = c.get("tenant");
    const id = files.newId();
    try {
      const { fields, file } = await receiveMultipart(c.req.raw, {
        field: "file",
        store: (body) => files.write(tenant, id, bounded(body, limits.batchFileBytes, tooLarge)),
      });
      const { purpose, expires_after } = parseFields(fields);
      if (file === null || file.bytes === 0) throw missingFile(file === null);
      const expirySeconds = expires_after?.seconds ?? limits.maxFileExpirySeconds;
      const filename = file.filename.slice(0, limits.filenameCharacters);
      const made = { id, filename, purpose, bytes: file.bytes, expirySeconds };
      return c.json(describeFile(await files.publish(tenant, made)));
    } catch (error) {
      await files.discard(tenant, id);
      throw error;
    }
  });
};

/** `expires_after[seconds]` of a form is a member of `expires_after`, and a number. */
function parseFields({ purpose, ...fields }: Record<string, string>): z.infer<typeof CreateFileFields> {
  const { "expires_after[anchor]": anchor, "expires_after[seconds]": seconds, ...unknown } = fields;
  const expires = anchor !== undefined || seconds !== undefined;
  const parsed = CreateFileFields.safeParse({
    purpose,
    ...(expires ? { expires_after: { anchor, seconds: Number(seconds) } } : {}),
    ...unknown,
  });
  refuseInvalid(parsed);
  // refuseInvalid has thrown what is not valid.
  return CreateFileFields.parse(parsed.data);
}

const tooLarge = (): AppError => payloadTooLarge(limits.batchFileBytes);

const missingFile = (isMissing: boolean): AppError =>
  new AppError("invalid_request", "no file in the form", {
    field: "file",
    detail: `\`file\` is ${isMissing ? "missing" : "empty"}: send JSON lines, each with a request.`,
  });
