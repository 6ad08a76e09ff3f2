import { z } from "zod";
import { limits } from "./limits.ts";

/** A line of an input file, before its `body` is looked at. What is wrong with it is told line by line. */
export const BatchInputLine = z.strictObject({
  custom_id: z.string().min(1).max(limits.customIdCharacters),
  method: z.string(),
  url: z.string(),
  body: z.record(z.string(), z.unknown()),
});
export type BatchInputLine = z.infer<typeof BatchInputLine>;

/** Why a line has no answer: the code of a job's failure, or one of these of OpenAI's. */
export const UNFINISHED_CODES = { expired: "batch_expired", cancelled: "batch_cancelled" } as const;

/**
 * A line of the output file, of the error file and of the results of a running batch. Of `response` and `error` one is
 * null. Lines come in any order; `custom_id` says whose answer it is.
 */
export const BatchOutputLine = z
  .object({
    id: z
      .string()
      .meta({ description: "`batch_req_`, the batch and the number of the line: the same each time it is read." }),
    custom_id: z.string(),
    response: z
      .object({
        status_code: z.literal(200),
        request_id: z.string(),
        body: z.record(z.string(), z.unknown()).meta({ description: "A ChatCompletion." }),
      })
      .nullable(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
  })
  .meta({ id: "BatchOutputLine" });
export type BatchOutputLine = z.infer<typeof BatchOutputLine>;
