// The entry of the worker process: environment → state, engine → consumers.
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { basename } from "node:path";
import { parseEnv, WorkerEnv, webhookPolicy } from "../api/contract/env.ts";
import { limits } from "../api/contract/limits.ts";
import { createLog, type Lifecycle, type Running, runProcess } from "../api/process.ts";
import { createDocumentStore } from "../api/state/document-store.ts";
import { createJobStore } from "../api/state/job-store.ts";
import { openState } from "../api/state/open-state.ts";
import { createWebhookStore } from "../api/state/webhook-store.ts";
import { loadEngine } from "../native/index.ts";
import { loadPrompts } from "../native/prompt.ts";
import { createConsumer } from "./consumer.ts";
import { createDeadLetterDelivery } from "./dead-letter.ts";
import { delay } from "./delay.ts";
import { createDelivery } from "./delivery.ts";
import { engineOptions } from "./engine-options.ts";
import { startWebhooks } from "./webhook/start.ts";

async function startWorker({ fail }: Lifecycle): Promise<Running> {
  const env = parseEnv(WorkerEnv, process.env);
  const log = createLog("worker", env.GNOMON_LOG_LEVEL);
  const now = Date.now;
  const newId = randomUUID;
  const options = engineOptions(env);
  const [state, engine, prompts] = await Promise.all([
    openState(env, { now, newId }),
    loadEngine(options),
    loadPrompts(env.GNOMON_MODEL),
  ]);
  const webhooks = createWebhookStore({ ...state, now });
  const jobs = createJobStore({ ...state, now, newId, leaseMs: limits.leaseMs, onTerminal: webhooks.emit });
  const deps = {
    jobs,
    documents: createDocumentStore({ objects: state.objects, now }),
    queue: state.queue,
    engine,
    prompts,
    model: basename(env.GNOMON_MODEL),
    limits,
    now,
    delay,
    onEngineDead: fail,
    owner: `${hostname()}/${process.pid}/${newId()}`,
    log,
  };

  const consumer = createConsumer({
    queue: state.queue,
    deliver: (message) => createDelivery(message, deps),
    room: (taken) => (engine.stats().waiting > 0 ? 0 : options.maxBatch - taken),
    limits,
    delay,
    log,
  });
  consumer.start();
  const deadLetters = buryDeadLetters();
  const webhookSender = startWebhooks({ ...state, webhooks, policy: webhookPolicy(env), now, newId, log });
  log.info({ owner: deps.owner, model: deps.model, max_batch: options.maxBatch }, "worker receives");

  return {
    about: { model: deps.model, cache: env.GNOMON_CACHE, device: env.GNOMON_DEVICE ?? "cpu" },
    async stop() {
      log.info({ grace_seconds: env.GNOMON_GRACE_SECONDS }, "worker stops");
      await Promise.all([consumer.stop(env.GNOMON_GRACE_SECONDS * 1000), deadLetters?.stop(0), webhookSender.stop()]);
      await engine.close();
      await state.close();
    },
  };

  function buryDeadLetters() {
    const queue = state.queue.deadLetter;
    if (queue === null) return null;
    const consumer = createConsumer({
      queue,
      deliver: (message) => createDeadLetterDelivery(message, { jobs, queue, limits, log }),
      room: (taken) => 10 - taken,
      limits,
      delay,
      log,
    });
    consumer.start();
    return consumer;
  }
}

await runProcess(startWorker);
