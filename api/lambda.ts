// The same service behind AWS Lambda: everything is opened once, when an instance starts, and serves all its requests.
import { handle } from "hono/aws-lambda";
import { ApiEnv, parseEnv } from "./contract/env.ts";
import { limits } from "./contract/limits.ts";
import { openApp } from "./open-app.ts";
import { createLog } from "./process.ts";

const env = parseEnv(ApiEnv, process.env);
const { app } = await openApp(env, {
  host: null,
  log: createLog("api", env.GNOMON_LOG_LEVEL),
  isStopping: () => false,
  waitMs: limits.httpApiWaitMs,
});

export const handler = handle(app);
