import { z } from "zod";
import { JobProgress } from "./job.ts";

/** stream.json: the answers of a running job so far. Overwritten while somebody watches, and gone when the job is over. */
export const JobStream = z.object({
  version: z.literal(1),
  attempt: z.int(),
  /** As in the state, and more often written. */
  progress: JobProgress,
  /** In the order of the result's answers. */
  texts: z.array(z.string()),
});
export type JobStream = z.infer<typeof JobStream>;
