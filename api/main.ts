// The entry of the api process: environment → state → app → listen.
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { basename } from "node:path";
import { getRequestListener } from "@hono/node-server";
import { loadPrompts } from "../native/prompt.ts";
import { createAccess } from "./access.ts";
import { createApp } from "./app.ts";
import { ApiEnv, parseEnv } from "./contract/env.ts";
import { AppError } from "./contract/errors.ts";
import { limits } from "./contract/limits.ts";
import { isLoopback } from "./loopback.ts";
import { createLog, type Running, runProcess } from "./process.ts";
import { createApiKeyStore } from "./state/api-key-store.ts";
import { createDocumentStore } from "./state/document-store.ts";
import { createJobStore } from "./state/job-store.ts";
import { openState } from "./state/open-state.ts";

/** Requests that still run at a stop are cut off after this. */
const STOP_MS = 5_000;

async function startApi(): Promise<Running> {
  const env = parseEnv(ApiEnv, process.env);
  const log = createLog("api", env.GNOMON_LOG_LEVEL);
  const now = Date.now;
  const newId = randomUUID;
  const [prompts, state] = await Promise.all([loadPrompts(env.GNOMON_MODEL), openState(env, { now, newId })]);
  const apiKeys = createApiKeyStore({ objects: state.objects, now });
  const loopback = isLoopback(env.GNOMON_HOST);
  const keyed = await apiKeys.any();
  if (!loopback && !keyed) throw await refuseExposure(env.GNOMON_HOST, state);
  const model = {
    id: basename(env.GNOMON_MODEL),
    maxPositions: prompts.maxPositions,
    countPromptTokens: async (prompt: { document: string; question: string }) => (await prompts.encode(prompt)).length,
  };

  let stopping = false;
  const checkReady = async () => {
    if (stopping) throw new AppError("unavailable", "stopping", { detail: "The service is stopping." });
    await state.objects.list("probe/", { limit: 1 });
  };
  const app = createApp({
    jobs: createJobStore({ ...state, now, newId, leaseMs: limits.leaseMs }),
    documents: createDocumentStore({ objects: state.objects, now }),
    model,
    signedObjects: state.urls && { objects: state.objects, urls: state.urls },
    access: createAccess({ apiKeys, loopback, now, log }),
    apiKeys,
    checkReady,
    now,
    newId,
    log,
  });

  const listener = getRequestListener(app.fetch);
  const server = createServer((request, response) => void listener(request, response));
  await listen(server, env.GNOMON_HOST, env.GNOMON_PORT);
  const { address, port, family } = server.address() as AddressInfo;
  const url = `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  log.info({ url, model: model.id, state: env.GNOMON_STATE, access: keyed ? "keys" : "open" }, "api listens");

  return {
    about: { url, model: model.id, access: keyed ? "keys" : "open" },
    async stop() {
      stopping = true;
      log.info("api stops");
      const closed = once(server, "close");
      server.close();
      const cutOff = setTimeout(() => server.closeAllConnections(), STOP_MS);
      await closed;
      clearTimeout(cutOff);
      await state.close();
    },
  };
}

async function refuseExposure(host: string, state: { close(): Promise<void> }): Promise<AppError> {
  await state.close();
  return new AppError(
    "exposed_without_keys",
    `other machines can reach ${host}, and there is no API key yet: make one with \`npm run keys -- create --tenant NAME\`, ` +
      "or listen on 127.0.0.1 (GNOMON_HOST)",
  );
}

async function listen(server: ReturnType<typeof createServer>, host: string, port: number): Promise<void> {
  server.listen(port, host);
  await once(server, "listening").catch((cause) => {
    const why =
      cause.code === "EADDRINUSE" ? "is in use by another program: stop that, or set GNOMON_PORT" : cause.message;
    throw new AppError("unavailable", `port ${port} of ${host} ${why}`, { cause });
  });
}

await runProcess(startApi);
