// The entry of a process that only delivers webhooks, for where workers come and go with the jobs: a schedule lasts
// for days after the last of them. Needs no model and no GPU.
import { randomUUID } from "node:crypto";
import { parseEnv, WebhooksEnv, webhookPolicy } from "../api/contract/env.ts";
import { createLog, type Running, runProcess } from "../api/process.ts";
import { openState } from "../api/state/open-state.ts";
import { createWebhookStore } from "../api/state/webhooks/webhook-store.ts";
import { keepLiveness } from "./host/liveness.ts";
import { startWebhooks } from "./webhook/start.ts";

async function start(): Promise<Running> {
  const env = parseEnv(WebhooksEnv, process.env);
  const log = createLog("webhooks", env.GNOMON_LOG_LEVEL);
  const now = Date.now;
  const newId = randomUUID;
  const liveness = await keepLiveness(env, now);
  const state = await openState(env, { now, newId });
  const webhooks = createWebhookStore({ ...state, now });
  const sender = startWebhooks({ ...state, webhooks, policy: webhookPolicy(env), now, newId, log });
  log.info({ state: env.GNOMON_STATE }, "webhooks are delivered");
  return {
    about: { state: env.GNOMON_STATE },
    async stop() {
      log.info("webhooks stop");
      await sender.stop();
      await state.close();
      await liveness?.stop();
    },
  };
}

await runProcess(start);
