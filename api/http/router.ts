import { OpenAPIHono } from "@hono/zod-openapi";
import type { Caller } from "../contract/access.ts";
import { ERRORS } from "../contract/errors.ts";
import { Problem } from "../contract/problem.ts";
import { refuseInvalid } from "./validation.ts";

export type AppEnv = {
  Variables: {
    requestId: string;
    /** Whose request it is: everything that it reads and writes is theirs. */
    tenant: string;
    /** Which API key it comes with, and what that allows. As the tenant, on every path that asks for it (authorize.ts). */
    caller: Caller;
  };
};

export const createRouter = () => new OpenAPIHono<AppEnv>({ defaultHook: refuseInvalid });

type ErrorStatus = (typeof ERRORS)[keyof typeof ERRORS]["status"];

/** The error responses of a route, for its OpenAPI description. */
export const problemResponses = (...statuses: ErrorStatus[]) => refusals(...statuses, 500);

/** As problemResponses, of a route that itself cannot fail. */
export const refusals = (...statuses: ErrorStatus[]) =>
  Object.fromEntries(
    statuses.map((status) => {
      const codes = Object.entries(ERRORS).filter(([, error]) => error.status === status);
      const description = codes.map(([code, { title }]) => `\`${code}\`: ${title}.`).join(" ");
      return [status, { description, content: { "application/problem+json": { schema: Problem } } }];
    }),
  );
