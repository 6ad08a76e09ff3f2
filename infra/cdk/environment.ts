import type { z } from "zod";
import type { ApiEnv, StateEnv, WebhooksEnv, WorkerEnv } from "../../api/contract/env.ts";
import type { Queues } from "./queues.ts";
import type { Settings } from "./settings.ts";
import type { Storage } from "./storage.ts";

/** Every variable of a process, so that one which infra forgets does not compile. Set to nothing it counts as unset. */
type Environment<S extends z.ZodType> = Record<keyof z.input<S> & string, string>;

type State = { storage: Storage; queues: Queues; region: string; settings: Settings };

function stateEnvironment({ storage, queues, region }: State) {
  return {
    GNOMON_STATE: "aws",
    GNOMON_STATE_DIR: "",
    GNOMON_BUCKET: storage.bucket.bucketName,
    GNOMON_QUEUE_URL: queues.jobs.queue.queueUrl,
    GNOMON_DEAD_LETTER_QUEUE_URL: queues.jobs.deadLetters.queueUrl,
    GNOMON_WEBHOOK_QUEUE_URL: queues.webhooks.queue.queueUrl,
    GNOMON_S3_ENDPOINT: "",
    GNOMON_SQS_ENDPOINT: "",
    AWS_REGION: region,
  } satisfies Environment<typeof StateEnv>;
}

/** Webhooks go to public addresses by https, and nowhere else. */
const webhooks = { GNOMON_WEBHOOK_HTTP: "", GNOMON_WEBHOOK_PORTS: "", GNOMON_WEBHOOK_NETWORKS: "" };

/** Of a process without a port; below /tmp, the one place that can be written. */
const liveness = { GNOMON_LIVENESS_FILE: "/tmp/alive" };

export function webhooksEnvironment(state: State) {
  return {
    ...stateEnvironment(state),
    ...webhooks,
    ...liveness,
    GNOMON_LOG_LEVEL: "info",
  } satisfies Environment<typeof WebhooksEnv>;
}

export function apiEnvironment(state: State) {
  return {
    ...stateEnvironment(state),
    ...webhooks,
    GNOMON_MODEL: state.settings.model,
    // Below /tmp, the one place that can be written.
    GNOMON_MODEL_CACHE: "",
    GNOMON_LOG_LEVEL: "info",
    GNOMON_HOST: "0.0.0.0",
    GNOMON_PORT: "8080",
    GNOMON_MAX_DOCUMENT_BYTES: "",
    GNOMON_GPU_SPEED: String(state.settings.gpu_speed),
    // The defaults; a price for prompts is the operator's to set.
    GNOMON_QUOTA_JOBS: "",
    GNOMON_QUOTA_TOKENS: "",
    GNOMON_RETENTION_DAYS: "",
    GNOMON_PRICE_PROMPT: "",
    GNOMON_PRICE_CACHED: "",
    GNOMON_PRICE_COMPLETION: "",
    GNOMON_CURRENCY: "",
  } satisfies Environment<typeof ApiEnv>;
}

export function workerEnvironment(state: State, graceSeconds: number) {
  return {
    ...stateEnvironment(state),
    ...webhooks,
    ...liveness,
    GNOMON_MODEL: state.settings.model,
    // Below /tmp, the one place that can be written.
    GNOMON_MODEL_CACHE: "",
    GNOMON_LOG_LEVEL: "info",
    GNOMON_GRACE_SECONDS: String(graceSeconds),
    GNOMON_LEASE_SECONDS: "",
    GNOMON_LOOK_AHEAD: "",
    // ECS turns the notice of a Spot instance's end into SIGTERM.
    GNOMON_IMDS_URL: "",
    GNOMON_DEVICE: "cuda",
    GNOMON_DTYPE: "",
    GNOMON_CACHE: "shadowkv",
    GNOMON_RANK: "",
    GNOMON_CHUNK_SIZE: "",
    GNOMON_SPARSE_BUDGET: "",
    GNOMON_OUTLIER_CHUNKS: "",
    GNOMON_LOCAL_WINDOW: "",
    GNOMON_THREADS: "",
    GNOMON_MAX_BATCH: "",
    GNOMON_DEVICE_BYTES: "",
    GNOMON_HOST_BYTES: "",
  } satisfies Environment<typeof WorkerEnv>;
}
