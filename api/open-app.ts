import { randomUUID } from "node:crypto";
import { basename } from "node:path";
import { loadPrompts } from "../native/prompt.ts";
import { createApp, type Log } from "./app.ts";
import { type ApiEnv, webhookPolicy } from "./contract/env.ts";
import { AppError } from "./contract/errors.ts";
import { limits } from "./contract/limits.ts";
import { SINGLE_TENANT } from "./contract/tenant.ts";
import type { ServedModel } from "./served-model.ts";
import { createDocumentStore } from "./state/document-store.ts";
import type { StateLog } from "./state/job-states.ts";
import { createJobStore } from "./state/job-store.ts";
import { openState } from "./state/open-state.ts";
import { createWebhookKeyrings } from "./state/webhook-keyring.ts";
import { createWebhookStore } from "./state/webhook-store.ts";

type Deps = {
  log: Log & StateLog;
  /** True once the process takes no new work; the service then says that it is not ready. */
  isStopping: () => boolean;
};

/** Opens what the environment names and puts the app on it: for a listening server and for a Lambda alike. */
export async function openApp(env: ApiEnv, { log, isStopping }: Deps) {
  const now = Date.now;
  const newId = randomUUID;
  const [prompts, state] = await Promise.all([loadPrompts(env.GNOMON_MODEL), openState(env, { now, newId })]);
  const model: ServedModel = {
    id: basename(env.GNOMON_MODEL),
    maxPositions: prompts.maxPositions,
    countPromptTokens: async (prompt) => (await prompts.encode(prompt)).length,
  };
  const checkReady = async () => {
    if (isStopping()) throw new AppError("unavailable", "stopping", { detail: "The service is stopping." });
    await state.objects.list("probe/", { limit: 1 });
  };
  const webhooks = createWebhookStore({ ...state, now });
  const jobs = createJobStore({ ...state, now, newId, leaseMs: limits.leaseMs, onTerminal: webhooks.emit, log });
  const app = createApp({
    jobs,
    documents: createDocumentStore({ objects: state.objects, now }),
    webhooks,
    keyrings: createWebhookKeyrings({ objects: state.objects, now, newId }),
    webhookPolicy: webhookPolicy(env),
    model,
    signedObjects: state.urls && { objects: state.objects, urls: state.urls },
    tenant: SINGLE_TENANT,
    checkReady,
    now,
    newId,
    log,
  });
  return { app, jobs, model: model.id, close: () => state.close() };
}
