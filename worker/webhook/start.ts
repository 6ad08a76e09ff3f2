import { limits } from "../../api/contract/limits.ts";
import type { WebhookPolicy } from "../../api/contract/webhook-target.ts";
import type { JobQueue } from "../../api/state/job-queue.ts";
import type { ObjectStore } from "../../api/state/object-store.ts";
import { createWebhookKeyrings } from "../../api/state/webhooks/webhook-keyring.ts";
import type { WebhookStore } from "../../api/state/webhooks/webhook-store.ts";
import { delay } from "../delay.ts";
import { startMessageLoop } from "../queue/message-loop.ts";
import { deliverWebhook, type WebhookDeliveryDeps } from "./delivery.ts";
import { post } from "./post.ts";
import { createResolver } from "./resolve.ts";
import { createSlots } from "./slots.ts";

type Deps = {
  objects: ObjectStore;
  webhookQueue: JobQueue;
  webhooks: WebhookStore;
  policy: WebhookPolicy;
  now: () => number;
  newId: () => string;
  log: WebhookDeliveryDeps["log"];
};

/** Delivers the webhooks of every tenant, until it is stopped. Any number of processes may. */
export function startWebhooks({ objects, webhookQueue: queue, webhooks, policy, now, newId, log }: Deps) {
  const resolve = createResolver({ systemNames: policy.networks.length > 0 });
  const deps: WebhookDeliveryDeps = {
    webhooks,
    keyrings: createWebhookKeyrings({ objects, now, newId }),
    queue,
    slots: createSlots(limits.webhookConcurrencyPerTenant),
    post: (request) => post(request, { policy, resolve, limits }),
    now,
    random: Math.random,
    log,
  };
  return startMessageLoop({
    queue,
    handle: (message) => deliverWebhook(message, deps),
    concurrency: limits.webhookConcurrency,
    limits: { longPollMs: limits.longPollMs, visibilityMs: limits.webhookVisibilityMs },
    delay,
    log,
  });
}
