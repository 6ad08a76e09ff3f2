import { randomInt, randomUUID } from "node:crypto";
import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { loadPrompts } from "../native/prompt/prompt.ts";
import { createApp } from "./app.ts";
import { type ApiEnv, webhookPolicy } from "./contract/env.ts";
import { AppError } from "./contract/errors.ts";
import type { Price } from "./contract/job.ts";
import { limits } from "./contract/limits.ts";
import { createConverter } from "./convert/converter.ts";
import { createAccess } from "./http/access.ts";
import { isLoopback } from "./http/loopback.ts";
import type { Log } from "./http/request-log.ts";
import type { ServedModel } from "./served-model.ts";
import { createApiKeyStore } from "./state/api-key-store.ts";
import { createBatching, inTurn } from "./state/batches/batching.ts";
import { createDocumentStore } from "./state/documents/document-store.ts";
import { createUploadStore } from "./state/documents/upload-store.ts";
import { measureBacklog, rememberBacklog } from "./state/jobs/backlog.ts";
import type { StateLog } from "./state/jobs/job-states.ts";
import { createJobStore } from "./state/jobs/job-store.ts";
import { createJobStreams } from "./state/jobs/job-streams.ts";
import { openModel } from "./state/models/open-model.ts";
import { openState } from "./state/open-state.ts";
import { createRetention } from "./state/retention.ts";
import { createWebhookKeyrings } from "./state/webhooks/webhook-keyring.ts";
import { createWebhookStore } from "./state/webhooks/webhook-store.ts";

/** A listing of the whole backlog is not made more often than this. */
const BACKLOG_MS = 10_000;

type Deps = {
  /** Where it will listen; null where requests come from somewhere else. */
  host: string | null;
  log: Log & StateLog;
  /** True once the process takes no new work; the service then says that it is not ready. */
  isStopping: () => boolean;
  /** Of AppDeps. */
  waitMs: number;
};

/**
 * Opens what the environment names and puts the app on it: for a listening server and for a Lambda alike. Throws
 * AppError `exposed_without_keys` where others than this machine could use it without a key.
 */
export async function openApp(env: ApiEnv, { host, log, isStopping, waitMs }: Deps) {
  const now = Date.now;
  const newId = randomUUID;
  const { folder: modelFolder } = await openModel(env, { part: "tokenizer", now, log });
  const [prompts, state] = await Promise.all([loadPrompts(modelFolder), openState(env, { now, newId })]);
  const apiKeys = createApiKeyStore({ objects: state.objects, now });
  const loopback = host !== null && isLoopback(host);
  const keyed = await apiKeys.any();
  if (!loopback && !keyed) {
    await state.close();
    throw exposedWithoutKeys(host);
  }
  const model: ServedModel = {
    id: basename(modelFolder),
    createdMs: (await stat(join(modelFolder, "config.json"))).mtimeMs,
    maxPositions: prompts.maxPositions,
    countPromptTokens: prompts.count,
  };
  const checkReady = async () => {
    if (isStopping()) throw new AppError("unavailable", "stopping", { detail: "The service is stopping." });
    await state.objects.list("probe/", { limit: 1 });
  };
  const webhooks = createWebhookStore({ ...state, now });
  const retentionMs = env.GNOMON_RETENTION_DAYS * 24 * 3_600_000;
  const { files, batches, batchEnd } = createBatching({
    objects: state.objects,
    now,
    newId,
    onOver: webhooks.emitBatch,
  });
  const jobs = createJobStore({
    ...state,
    now,
    newId,
    leaseMs: limits.leaseMs,
    retentionMs,
    onTerminal: inTurn(webhooks.emit, batchEnd.jobEnded),
    log,
  });
  const measure = () =>
    measureBacklog(state.objects, { speed: env.GNOMON_GPU_SPEED, maxSequenceTokens: model.maxPositions });
  const backlog = rememberBacklog(measure, BACKLOG_MS, now);
  const isEmbedded = env.GNOMON_STATE === "embedded";
  const removeOld = isEmbedded
    ? createRetention({ objects: state.objects, jobs, files, batches, retentionMs, now, log })
    : null;
  const uploads = createUploadStore({ objects: state.objects, now, newId });
  const app = createApp({
    jobs,
    backlog,
    // A bucket forgets by its own rules, and lets an info be written but once.
    documents: createDocumentStore({ objects: state.objects, now, ...(isEmbedded && { retentionMs }) }),
    files,
    batches,
    batchEnd,
    streams: createJobStreams({ objects: state.objects }),
    uploads,
    convert: createConverter(limits),
    maxDocumentBytes: env.GNOMON_MAX_DOCUMENT_BYTES,
    webhooks,
    keyrings: createWebhookKeyrings({ objects: state.objects, now, newId }),
    webhookPolicy: webhookPolicy(env),
    model,
    objects: state.objects,
    quota: { jobs: env.GNOMON_QUOTA_JOBS, tokens: env.GNOMON_QUOTA_TOKENS },
    price: priceOf(env),
    signedObjects: state.urls && { objects: state.objects, urls: state.urls },
    access: createAccess({ apiKeys, loopback, now, log }),
    apiKeys,
    checkReady,
    waitMs,
    now,
    newId,
    randomSeed: () => randomInt(2 ** 31),
    log,
  });
  const access = keyed ? "keys" : "open";
  return { app, jobs, removeOld, uploads, backlog, model: model.id, access, close: () => state.close() };
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
const exposedWithoutKeys = (host: string | null): AppError =>
  new AppError(
    "exposed_without_keys",
    `other machines can reach ${host ?? "the service"}, and there is no API key yet: make one with ` +
      `\`npm run keys -- create --tenant NAME\`${host === null ? "" : ", or listen on 127.0.0.1 (GNOMON_HOST)"}`,
  );
