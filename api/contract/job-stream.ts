import { z } from "zod";

/** stream.json: the answers of a running job so far. Overwritten while somebody watches, and gone when the job is over. */
export const JobStream = z.object({
  version: z.literal(1),
  attempt: z.int(),
  /** In the order of the result's answers. */
  texts: z.array(z.string()),
});
export type JobStream = z.infer<typeof JobStream>;

/** Data of a `text` event: what has come to the answer with this index. */
export const TextEvent = z.object({ index: z.int(), text: z.string() }).meta({ id: "JobTextEvent" });
