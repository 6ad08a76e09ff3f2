import { z } from "zod";
import { AppError } from "./errors.ts";
import { describeIssues } from "./issues.ts";
import { limits } from "./limits.ts";
import { parseModelSource } from "./model-source.ts";
import { type Network, parseNetwork } from "./public-address.ts";
import type { WebhookPolicy } from "./webhook-target.ts";

// The environment of each process, as flat objects: infra checks what it sets against their keys.

const positiveInt = z.coerce.number().int().min(1);
/** 0 lets the engine choose. */
const countOrAuto = z.coerce.number().int().min(0).default(0);
const price = z.coerce.number().min(0);
const url = z.url({ protocol: /^https?$/ });

const state = {
  GNOMON_STATE: z.enum(["embedded", "aws"]).default("embedded"),
  /** Directory of the embedded state; on a local disk, not a network share. */
  GNOMON_STATE_DIR: z.string().default(".gnomon"),
  GNOMON_BUCKET: z.string().optional(),
  GNOMON_QUEUE_URL: url.optional(),
  GNOMON_DEAD_LETTER_QUEUE_URL: url.optional(),
  /** Webhooks to be sent. It needs no dead-letter queue: its messages end with their schedule. */
  GNOMON_WEBHOOK_QUEUE_URL: url.optional(),
  /** S3- and SQS-compatible servers in place of AWS. */
  GNOMON_S3_ENDPOINT: url.optional(),
  GNOMON_SQS_ENDPOINT: url.optional(),
  AWS_REGION: z.string().optional(),
};

const model = {
  /** A Hugging Face model directory, or one in S3 as `s3://bucket/prefix`: the API needs its tokenizer, the worker all of it. */
  GNOMON_MODEL: z
    .string()
    .refine((text) => parseModelSource(text) !== null, "must be a folder or s3://bucket/prefix")
    .default("native/models/needle"),
  /** Where a model from S3 is kept; on a local disk with room for it. Processes of one machine may share it. */
  GNOMON_MODEL_CACHE: z.string().default("/tmp/gnomon-models"),
};

const listOf = <T>(parse: (item: string) => T | null, what: string) =>
  z
    .string()
    .default("")
    .transform((text, context): T[] => {
      const items = text.split(",").map((item) => item.trim());
      return items
        .filter((item) => item !== "")
        .flatMap((item) => {
          const parsed = parse(item);
          if (parsed !== null) return [parsed];
          context.addIssue({ code: "custom", message: `\`${item}\` is not ${what}` });
          return [];
        });
    });

const parsePort = (text: string): number | null =>
  /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535 ? Number(text) : null;

/** Where webhooks may go: https to public addresses on port 443, and what these add. API and worker need the same. */
const webhooks = {
  /** `true` allows http:// too, on port 80. */
  GNOMON_WEBHOOK_HTTP: z.stringbool().default(false),
  /** Other ports, such as `8443,9000`. */
  GNOMON_WEBHOOK_PORTS: listOf(parsePort, "a port"),
  /** Networks that are not public, such as `10.0.0.0/8,fd00::/8`. The metadata addresses of clouds stay closed. */
  GNOMON_WEBHOOK_NETWORKS: listOf<Network>(parseNetwork, "a network in CIDR notation"),
};

type WebhookFields = z.infer<z.ZodObject<typeof webhooks>>;

export const webhookPolicy = (env: WebhookFields): WebhookPolicy => ({
  plainHttp: env.GNOMON_WEBHOOK_HTTP,
  ports: env.GNOMON_WEBHOOK_PORTS,
  networks: env.GNOMON_WEBHOOK_NETWORKS,
});

const log = {
  GNOMON_LOG_LEVEL: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
};

const liveness = {
  /** Touched every few seconds, for health checks of a process without a port. */
  GNOMON_LIVENESS_FILE: z.string().optional(),
};

type StateFields = z.infer<z.ZodObject<typeof state>>;
const neededForAws = [
  "GNOMON_BUCKET",
  "GNOMON_QUEUE_URL",
  "GNOMON_DEAD_LETTER_QUEUE_URL",
  "GNOMON_WEBHOOK_QUEUE_URL",
  "AWS_REGION",
] as const;

function requireAws(env: StateFields, context: z.RefinementCtx): void {
  if (env.GNOMON_STATE !== "aws") return;
  for (const name of neededForAws) {
    if (env[name] === undefined) {
      context.addIssue({ code: "custom", path: [name], message: "needed where GNOMON_STATE is aws" });
    }
  }
}

type ModelFields = StateFields & z.infer<z.ZodObject<typeof model>>;
function requireRegion(env: ModelFields, context: z.RefinementCtx): void {
  if (env.GNOMON_STATE === "aws" || env.AWS_REGION !== undefined || !env.GNOMON_MODEL.startsWith("s3://")) return;
  context.addIssue({ code: "custom", path: ["AWS_REGION"], message: "needed where GNOMON_MODEL is in S3" });
}

export const StateEnv = z.object(state).superRefine(requireAws);
export type StateEnv = z.infer<typeof StateEnv>;

export const ApiEnv = z
  .object({
    ...state,
    ...model,
    ...webhooks,
    ...log,
    /** A document that is sent may be as large as this. */
    GNOMON_MAX_DOCUMENT_BYTES: positiveInt.default(512 * 1024 * 1024),
    GNOMON_HOST: z.string().default("127.0.0.1"),
    /** 0 takes a free port. */
    GNOMON_PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
    /** What one tenant may have queued and running: jobs, and their prompt and answer tokens. 0 is without limit. */
    GNOMON_QUOTA_JOBS: z.coerce.number().int().min(0).default(100_000),
    GNOMON_QUOTA_TOKENS: z.coerce.number().int().min(0).default(0),
    /** A job and its answers are kept for this many days after its end. */
    GNOMON_RETENTION_DAYS: z.coerce.number().positive().default(30),
    /** Of a million tokens, in GNOMON_CURRENCY. Without a price for prompts nothing is said of cost. */
    GNOMON_PRICE_PROMPT: price.optional(),
    /** Default: as for other prompt tokens. */
    GNOMON_PRICE_CACHED: price.optional(),
    /** Default: as for prompt tokens. */
    GNOMON_PRICE_COMPLETION: price.optional(),
    GNOMON_CURRENCY: z
      .string()
      .regex(/^[A-Z]{3}$/, "must be three capital letters, such as USD")
      .default("USD"),
    /** How fast the workers' GPU is beside an H200; see contract/backlog.ts. */
    GNOMON_GPU_SPEED: z.coerce.number().positive().default(1),
  })
  .superRefine(requireAws)
  .superRefine(requireRegion);
export type ApiEnv = z.infer<typeof ApiEnv>;

/** Of a process that only delivers webhooks. */
export const WebhooksEnv = z.object({ ...state, ...webhooks, ...log, ...liveness }).superRefine(requireAws);
export type WebhooksEnv = z.infer<typeof WebhooksEnv>;

export const WorkerEnv = z
  .object({
    ...state,
    ...model,
    ...webhooks,
    ...log,
    ...liveness,
    /** How long running jobs may go on after SIGTERM before they are given back. */
    GNOMON_GRACE_SECONDS: z.coerce.number().min(0).default(30),
    /** How long a job stays a worker's without a heartbeat: shorter, and a dead worker is noticed sooner. */
    GNOMON_LEASE_SECONDS: z.coerce
      .number()
      .min(1)
      .max(3_600)
      .default(limits.leaseMs / 1000),
    /** Jobs to have at hand beyond those that run, so that there is a choice of order. */
    GNOMON_LOOK_AHEAD: z.coerce.number().int().min(1).max(1_000).default(16),
    /** Of EC2's instance metadata service, to hear of the end of a Spot instance; unset: nobody asks. */
    GNOMON_IMDS_URL: url.optional(),
    GNOMON_DEVICE: z.enum(["cpu", "cuda"]).optional(),
    /** What the engine keeps and computes in; auto: bfloat16 on a GPU, float32 on a CPU. */
    GNOMON_DTYPE: z.enum(["auto", "bfloat16", "float32"]).optional(),
    GNOMON_CACHE: z.enum(["full", "shadowkv"]).default("shadowkv"),
    /** ShadowKV's knobs; the engine's defaults where unset. The sparse budget and the local window are in tokens. */
    GNOMON_RANK: positiveInt.optional(),
    GNOMON_CHUNK_SIZE: positiveInt.optional(),
    GNOMON_SPARSE_BUDGET: positiveInt.optional(),
    GNOMON_OUTLIER_CHUNKS: positiveInt.optional(),
    GNOMON_LOCAL_WINDOW: positiveInt.optional(),
    GNOMON_THREADS: countOrAuto,
    GNOMON_MAX_BATCH: countOrAuto,
    GNOMON_DEVICE_BYTES: countOrAuto,
    GNOMON_HOST_BYTES: countOrAuto,
  })
  .superRefine(requireAws)
  .superRefine(requireRegion);
export type WorkerEnv = z.infer<typeof WorkerEnv>;

/** What ECS sets in every container, and nobody else may. */
export const EcsEnv = z.object({ ECS_AGENT_URI: url.optional() });

/** Parses the environment; a variable set to nothing counts as unset. Throws AppError `invalid_environment`, a line per variable. */
export function parseEnv<S extends z.ZodType>(schema: S, env: Record<string, string | undefined>): z.infer<S> {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  const parsed = schema.safeParse(set);
  if (parsed.success) return parsed.data;
  const lines = describeIssues(parsed.error.issues).map(({ field, detail }) => `${field}: ${detail}`);
  throw new AppError("invalid_environment", `the environment is not valid\n  ${lines.join("\n  ")}`);
}
