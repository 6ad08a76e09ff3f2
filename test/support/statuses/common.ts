import type { Scope } from "../../../api/contract/access.ts";
import { AppError } from "../../../api/contract/errors.ts";
import { limits } from "../../../api/contract/limits.ts";
import type { TestApp } from "../test-app.ts";
import { type Case, NONE } from "./case.ts";

export type Operation = {
  method: string;
  path: string;
  /** Of the API key that it needs; null: it needs none. */
  scope: Scope | null;
  mediaTypes: string[];
};

const OTHER_SCOPE = { submit: "read", read: "metrics", admin: "submit", metrics: "read" } as const;

/** The cases that follow from what holds for all operations: who may call, what a body may be, and the store. */
export function commonCases(operation: Operation): Record<number, Case> {
  const { method, scope, mediaTypes } = operation;
  const path = operation.path.replaceAll(/\{\w+\}/g, NONE);
  const send = async (app: TestApp, headers: Record<string, string> = {}, body?: string | Uint8Array<ArrayBuffer>) =>
    app.app.request(path, { method, headers, ...(body === undefined ? {} : { body }) });
  const sendAs = (app: TestApp, type: string, body: string | Uint8Array<ArrayBuffer>) =>
    send(app, { "Content-Type": type }, body);

  const storeFails = (needed: Scope, error: Error): Case => ({
    app: { loopback: false, findKey: async () => Promise.reject(error) },
    ask: async (app) => send(app, (await app.makeKey("acme", [needed])).headers),
  });

  return {
    ...(scope === null
      ? {}
      : {
          401: { app: { loopback: false }, ask: (app) => send(app) },
          403: {
            app: { loopback: false },
            ask: async (app) => send(app, (await app.makeKey("acme", [OTHER_SCOPE[scope]])).headers),
          },
          500: storeFails(scope, new Error("a bug")),
          503: storeFails(scope, new AppError("unavailable", "the store is out of reach")),
          507: storeFails(scope, new AppError("storage_full", "the disk is full")),
        }),
    ...(mediaTypes.length === 0
      ? {}
      : {
          413: (app) => sendAs(app, "application/json", new Uint8Array(limits.requestBodyBytes + 1)),
          415: (app) => sendAs(app, "text/xml", "<a/>"),
        }),
    ...(mediaTypes.includes("application/json") ? { 400: (app) => sendAs(app, "application/json", "{") } : {}),
  };
}
