import { z } from "zod";
import { limits } from "./limits.ts";

/** What a client notes with a job or a batch, within OpenAI's limits. */
export const Metadata = z
  .record(z.string().min(1).max(limits.metadataKeyCharacters), z.string().max(limits.metadataValueCharacters))
  .refine((metadata) => Object.keys(metadata).length <= limits.metadataPairs, {
    message: `must not have more than ${limits.metadataPairs} pairs`,
  })
  .meta({ maxProperties: limits.metadataPairs });
