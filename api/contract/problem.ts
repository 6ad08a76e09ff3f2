import { z } from "zod";

/** An error as clients of OpenAI's API read it. */
export const OpenAiError = z.object({
  message: z.string(),
  type: z.string(),
  param: z.string().nullable(),
  code: z.string(),
});

/** RFC 9457 problem details: the body of every error, as application/problem+json. */
export const Problem = z
  .looseObject({
    type: z.string().meta({ description: "Where the kind of error is described, relative to the service." }),
    title: z.string(),
    status: z.int(),
    detail: z.string().meta({ description: "What was wrong and how to mend it." }),
    instance: z.string().meta({ description: "The request, as it is named in the service's log." }),
    code: z.string().meta({ description: "Stable name of the kind of error.", examples: ["context_overflow"] }),
    field: z
      .string()
      .optional()
      .meta({ description: "Path of the first offending field.", examples: ["document.text"] }),
    errors: z
      .array(z.object({ field: z.string(), detail: z.string() }))
      .optional()
      .meta({ description: "Every offending field." }),
    error: OpenAiError.optional().meta({ description: "The same as OpenAI's clients read it, where they ask." }),
  })
  .meta({ id: "Problem", description: "RFC 9457 problem details" });
export type Problem = z.infer<typeof Problem>;
