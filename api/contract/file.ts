import { z } from "zod";
import { limits } from "./limits.ts";

/** Of OpenAI's purposes those that there is a use for here; `batch_output` is of files that a batch made. */
export const FilePurpose = z.enum(["batch", "batch_output"]);
export type FilePurpose = z.infer<typeof FilePurpose>;

/** How long a file is kept, as OpenAI asks for it. */
export const ExpiresAfter = z.strictObject({
  anchor: z.literal("created_at", { error: "must be `created_at`" }),
  seconds: z
    .int()
    .min(limits.minFileExpirySeconds)
    .max(limits.maxFileExpirySeconds)
    .meta({ description: "After the file was made." }),
});
export type ExpiresAfter = z.infer<typeof ExpiresAfter>;

/** info.json beside a file's content: written once, and last. What has no info does not exist. */
export const FileInfo = z.object({
  /** `file-` and an id of its own. */
  id: z.string(),
  filename: z.string(),
  purpose: FilePurpose,
  bytes: z.int(),
  created_ms: z.int(),
  /** From then on it does not exist any more; null: as long as its bucket keeps it. */
  expires_ms: z.int().nullable(),
});
export type FileInfo = z.infer<typeof FileInfo>;

/** What GET /v1/files/{id} returns. Times in whole Unix seconds, as OpenAI's. */
export const File = z
  .object({
    object: z.literal("file"),
    id: z.string(),
    bytes: z.int(),
    created_at: z.int(),
    expires_at: z.int().optional(),
    filename: z.string(),
    purpose: FilePurpose,
    status: z
      .literal("processed")
      .meta({ description: "Deprecated by OpenAI; a file is there as a whole or not at all." }),
  })
  .meta({ id: "File" });
export type File = z.infer<typeof File>;

/** The fields of a multipart POST /v1/files beside `file`. */
export const CreateFileFields = z.strictObject({
  purpose: z.literal("batch", { error: "must be `batch`: files serve nothing else here" }),
  expires_after: ExpiresAfter.optional(),
});

export const FileList = z
  .object({
    object: z.literal("list"),
    data: z.array(File),
    first_id: z.string().nullable(),
    last_id: z.string().nullable().meta({ description: "For `after` of the next page." }),
    has_more: z.boolean(),
  })
  .meta({ id: "FileList" });

export const DeletedFile = z
  .object({ object: z.literal("file"), id: z.string(), deleted: z.literal(true) })
  .meta({ id: "DeletedFile" });
