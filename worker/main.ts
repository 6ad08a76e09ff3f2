// The entry of the worker process: environment → state, engine → consumers.
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { basename } from "node:path";
import { EcsEnv, parseEnv, WorkerEnv, webhookPolicy } from "../api/contract/env.ts";
import { limits } from "../api/contract/limits.ts";
import { createLog, type Lifecycle, type Running, runProcess } from "../api/process.ts";
import { createBatching, inTurn } from "../api/state/batches/batching.ts";
import { createDocumentStore } from "../api/state/documents/document-store.ts";
import { createJobStore } from "../api/state/jobs/job-store.ts";
import { createJobStreams } from "../api/state/jobs/job-streams.ts";
import { startSweeper } from "../api/state/jobs/sweeper.ts";
import { modelDigests, openModel } from "../api/state/models/open-model.ts";
import { openState } from "../api/state/open-state.ts";
import { createWebhookStore } from "../api/state/webhooks/webhook-store.ts";
import { createWorkerReports } from "../api/state/worker-reports.ts";
import { loadEngine } from "../native/index.ts";
import { modelRevision } from "../native/model-revision.ts";
import { loadPrompts } from "../native/prompt/prompt.ts";
import { delay } from "./delay.ts";
import { engineInfo } from "./engine-info.ts";
import { engineOptions } from "./engine-options.ts";
import { keepLiveness } from "./host/liveness.ts";
import { spotNotice } from "./host/spot-notice.ts";
import { createTaskProtection } from "./host/task-protection.ts";
import { startHeartbeatThread } from "./lease/heartbeat-client.ts";
import { createLeases } from "./lease/lease.ts";
import { leaseLimits } from "./lease/lease-limits.ts";
import { createLoadLog } from "./load-log.ts";
import { buryDeadLetter } from "./queue/dead-letter.ts";
import { createDelivery } from "./queue/delivery.ts";
import { createIntake } from "./queue/intake.ts";
import { createJobConsumer } from "./queue/job-consumer.ts";
import { startMessageLoop } from "./queue/message-loop.ts";
import { startReporting } from "./reporting.ts";
import { startWebhooks } from "./webhook/start.ts";

/** What is kept of a Spot notice's time for giving back and ending. */
const SPOT_MARGIN_MS = 10_000;
const LOAD_LOG_MS = 1_000;
/** Looked at together. */
const DEAD_LETTERS = 10;

async function startWorker({ fail, stop }: Lifecycle): Promise<Running> {
  const env = parseEnv(WorkerEnv, process.env);
  const log = createLog("worker", env.GNOMON_LOG_LEVEL);
  const now = Date.now;
  const newId = randomUUID;
  // From here on the process is alive, however long a model takes.
  const liveness = await keepLiveness(env, now);
  const model = await openModel(env, { part: "all", now, log });
  const options = engineOptions({ ...env, GNOMON_MODEL: model.folder });
  const leaseTimes = leaseLimits(env.GNOMON_LEASE_SECONDS * 1000);
  const leases = createLeases({ now });
  const onFailed = (error: Error): void => {
    leases.loseAll("no heartbeats any more");
    fail(error);
  };
  const [state, heartbeats, engine, prompts, revision] = await Promise.all([
    openState(env, { now, newId }),
    startHeartbeatThread({ env, limits: leaseTimes, stallMs: leaseTimes.stallMs, onFailed }, leases.tell),
    loadEngine(options, { onProgress: createLoadLog({ log, now, everyMs: LOAD_LOG_MS }) }),
    loadPrompts(model.folder),
    modelRevision(model.folder, modelDigests(env).sha256),
  ]);
  leases.connect(heartbeats.beats);
  const webhooks = createWebhookStore({ ...state, now });
  const { batches, batchEnd } = createBatching({ objects: state.objects, now, newId, onOver: webhooks.emitBatch });
  const jobs = createJobStore({
    ...state,
    now,
    newId,
    leaseMs: leaseTimes.leaseMs,
    onTerminal: inTurn(webhooks.emit, batchEnd.jobEnded),
    log,
  });
  const deps = {
    jobs,
    batches,
    newId,
    documents: createDocumentStore({ objects: state.objects, now }),
    queue: state.queue,
    engine,
    prompts,
    model: basename(model.folder),
    limits: leaseTimes,
    streams: createJobStreams({ objects: state.objects }),
    leases,
    now,
    delay,
    onEngineDead: fail,
    owner: `${hostname()}/${process.pid}/${newId()}`,
    engineInfo: engineInfo(engine, revision),
    log,
  };

  const { ECS_AGENT_URI: agentUri } = parseEnv(EcsEnv, process.env);
  const protection = agentUri === undefined ? null : createTaskProtection({ agentUri, fetch, now, log });
  const consumer = createJobConsumer({
    queue: state.queue,
    take: createIntake({
      ...deps,
      deliver(pointer, message) {
        const delivery = createDelivery(pointer, message, deps);
        protection?.hold(delivery.done);
        return delivery;
      },
    }),
    batch() {
      const { waiting, capacity } = engine.stats();
      return { waiting, capacity: { deviceBytes: capacity.device, hostBytes: capacity.host } };
    },
    maxBatch: options.maxBatch,
    lookAhead: env.GNOMON_LOOK_AHEAD,
    limits: leaseTimes,
    now,
    delay,
    log,
  });
  consumer.start();
  const { maxBatch } = options;
  const { maxPositions } = prompts;
  const reports = createWorkerReports({ objects: state.objects, now });
  const reporting = startReporting({ ...deps, reports, newId, maxBatch, maxPositions });
  const deadQueue = state.queue.deadLetter;
  const deadLetters =
    deadQueue &&
    startMessageLoop({
      queue: deadQueue,
      handle: (message) => buryDeadLetter(message, { ...deps, queue: deadQueue, source: state.queue }),
      concurrency: DEAD_LETTERS,
      limits: leaseTimes,
      delay,
      log,
    });
  const sweeper = startSweeper({ jobs, everyMs: limits.sweepMs, log });
  const stopping = new AbortController();
  let graceMs = env.GNOMON_GRACE_SECONDS * 1000;
  if (env.GNOMON_IMDS_URL !== undefined) {
    void spotNotice({ url: env.GNOMON_IMDS_URL, fetch, now, delay, signal: stopping.signal, log }).then((leftMs) => {
      log.warn({ left_ms: leftMs }, "this Spot instance is taken back");
      if (leftMs !== null) graceMs = Math.min(graceMs, Math.max(0, leftMs - SPOT_MARGIN_MS));
      stop();
    });
  }
  const webhookSender = startWebhooks({ ...state, webhooks, policy: webhookPolicy(env), now, newId, log });
  log.info({ owner: deps.owner, model: deps.model, max_batch: options.maxBatch }, "worker receives");

  return {
    about: { model: deps.model, cache: env.GNOMON_CACHE, device: env.GNOMON_DEVICE ?? "cpu" },
    async stop() {
      stopping.abort();
      log.info({ grace_ms: graceMs }, "worker stops");
      await Promise.all([consumer.stop(graceMs), deadLetters?.stop(), webhookSender.stop(), sweeper.stop()]);
      await reporting.stop();
      await protection?.stop();
      await heartbeats.close();
      await engine.close();
      await state.close();
      await liveness?.stop();
    },
  };
}

await runProcess(startWorker);
