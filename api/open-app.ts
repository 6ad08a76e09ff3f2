import { randomUUID } from "node:crypto";
import { basename } from "node:path";
import { loadPrompts } from "../native/prompt.ts";
import { createApp, type Log } from "./app.ts";
import type { ApiEnv } from "./contract/env.ts";
import { AppError } from "./contract/errors.ts";
import type { Price } from "./contract/job.ts";
import { limits } from "./contract/limits.ts";
import { SINGLE_TENANT } from "./contract/tenant.ts";
import type { ServedModel } from "./served-model.ts";
import { createDocumentStore } from "./state/document-store.ts";
import type { StateLog } from "./state/job-states.ts";
import { createJobStore } from "./state/job-store.ts";
import { openState } from "./state/open-state.ts";

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
  const retentionMs = env.GNOMON_RETENTION_DAYS * 24 * 3_600_000;
  const jobs = createJobStore({ ...state, now, newId, leaseMs: limits.leaseMs, retentionMs, log });
  const app = createApp({
    jobs,
    documents: createDocumentStore({ objects: state.objects, now }),
    model,
    objects: state.objects,
    quota: { jobs: env.GNOMON_QUOTA_JOBS, tokens: env.GNOMON_QUOTA_TOKENS },
    price: priceOf(env),
    signedObjects: state.urls && { objects: state.objects, urls: state.urls },
    tenant: SINGLE_TENANT,
    checkReady,
    now,
    newId,
    log,
  });
  return { app, jobs, model: model.id, close: () => state.close() };
}

function priceOf(env: ApiEnv): Price | null {
  const prompt = env.GNOMON_PRICE_PROMPT;
  if (prompt === undefined) return null;
  return {
    currency: env.GNOMON_CURRENCY,
    prompt,
    cached: env.GNOMON_PRICE_CACHED ?? prompt,
    completion: env.GNOMON_PRICE_COMPLETION ?? prompt,
  };
}
