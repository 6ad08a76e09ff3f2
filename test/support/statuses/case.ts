import type { openTestApp, TestApp } from "../test-app.ts";

/** Makes a fresh app answer with the status that the case is for. */
export type Ask = (app: TestApp) => Promise<Response>;
export type Case = Ask | { app: Parameters<typeof openTestApp>[0]; ask: Ask };

/** By operation (`GET /v1/jobs/{id}`) and status. */
export type Cases = Record<string, Record<number, Case>>;

/** An id that nothing has. */
export const NONE = "none";
