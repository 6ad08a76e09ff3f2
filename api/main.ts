// The entry of the api process: environment → state → app → listen.
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { basename } from "node:path";
import { getRequestListener } from "@hono/node-server";
import { loadPrompts } from "../native/prompt.ts";
import { createApp } from "./app.ts";
import { ApiEnv, parseEnv } from "./contract/env.ts";
import { AppError } from "./contract/errors.ts";
import { limits } from "./contract/limits.ts";
import { SINGLE_TENANT } from "./contract/tenant.ts";
import { createLog, type Running, runProcess } from "./process.ts";
import type { ServedModel } from "./served-model.ts";
import { createDocumentStore } from "./state/document-store.ts";
import { createJobStore } from "./state/job-store.ts";
import { openState } from "./state/open-state.ts";
import { startSweeper } from "./state/sweeper.ts";

/** Requests that still run at a stop are cut off after this. */
const STOP_MS = 5_000;

async function startApi(): Promise<Running> {
  const env = parseEnv(ApiEnv, process.env);
  const log = createLog("api", env.GNOMON_LOG_LEVEL);
  const now = Date.now;
  const newId = randomUUID;
  const [prompts, state] = await Promise.all([loadPrompts(env.GNOMON_MODEL), openState(env, { now, newId })]);
  const model: ServedModel = {
    id: basename(env.GNOMON_MODEL),
    maxPositions: prompts.maxPositions,
    countPromptTokens: async (prompt) => (await prompts.encode(prompt)).length,
  };

  let stopping = false;
  const checkReady = async () => {
    if (stopping) throw new AppError("unavailable", "stopping", { detail: "The service is stopping." });
    await state.objects.list("probe/", { limit: 1 });
  };
  const jobs = createJobStore({ ...state, now, newId, leaseMs: limits.leaseMs, log });
  const app = createApp({
    jobs,
    documents: createDocumentStore({ objects: state.objects, now }),
    model,
    signedObjects: state.urls && { objects: state.objects, urls: state.urls },
    tenant: SINGLE_TENANT,
    checkReady,
    newId,
    log,
  });

  const sweeper = startSweeper({ jobs, everyMs: limits.sweepMs, log });
  const listener = getRequestListener(app.fetch);
  const server = createServer((request, response) => void listener(request, response));
  await listen(server, env.GNOMON_HOST, env.GNOMON_PORT);
  const { address, port, family } = server.address() as AddressInfo;
  const url = `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  log.info({ url, model: model.id, state: env.GNOMON_STATE }, "api listens");

  return {
    about: { url, model: model.id },
    async stop() {
      stopping = true;
      log.info("api stops");
      const closed = once(server, "close");
      server.close();
      const cutOff = setTimeout(() => server.closeAllConnections(), STOP_MS);
      await Promise.all([closed, sweeper.stop()]);
      clearTimeout(cutOff);
      await state.close();
    },
  };
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
