import { createRoute, z } from "@hono/zod-openapi";
import { AppError, ERRORS, type ErrorCode } from "../contract/errors.ts";
import { createRouter, refusals } from "../http/router.ts";

const getProblem = createRoute({
  method: "get",
  path: "/problems/{code}",
  summary: "What the `type` of a problem points to",
  request: { params: z.object({ code: z.string().meta({ examples: ["job_not_found"] }) }) },
  responses: {
    200: {
      description: "The kind of error.",
      content: {
        "application/json": {
          schema: z.object({ code: z.string(), title: z.string(), status: z.int(), retryable: z.boolean() }),
        },
      },
    },
    ...refusals(404),
  },
});

export const problemRoutes = () =>
  createRouter().openapi(getProblem, (c) => {
    const { code } = c.req.valid("param");
    if (!Object.hasOwn(ERRORS, code)) {
      throw new AppError("not_found", `no error code ${code}`, { detail: `There is no kind of error \`${code}\`.` });
    }
    return c.json({ code, ...ERRORS[code as ErrorCode] }, 200);
  });
