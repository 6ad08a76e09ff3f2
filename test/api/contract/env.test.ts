import { expect, test } from "vitest";
import { ApiEnv, parseEnv, StateEnv, WebhooksEnv, WorkerEnv, webhookPolicy } from "../../../api/contract/env.ts";

const message = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    expect(error).toMatchObject({ code: "invalid_environment" });
    return (error as Error).message;
  }
  throw new Error("the environment was accepted");
};

test("an empty environment runs everything on this machine", () => {
  expect(parseEnv(ApiEnv, {})).toEqual({
    GNOMON_STATE: "embedded",
    GNOMON_STATE_DIR: ".gnomon",
    GNOMON_MODEL: "native/models/needle",
    GNOMON_MODEL_CACHE: "/tmp/gnomon-models",
    GNOMON_LOG_LEVEL: "info",
    GNOMON_MAX_DOCUMENT_BYTES: 536_870_912,
    GNOMON_HOST: "127.0.0.1",
    GNOMON_PORT: 8080,
    GNOMON_QUOTA_JOBS: 100_000,
    GNOMON_QUOTA_TOKENS: 0,
    GNOMON_RETENTION_DAYS: 30,
    GNOMON_CURRENCY: "USD",
    GNOMON_GPU_SPEED: 1,
    GNOMON_WEBHOOK_HTTP: false,
    GNOMON_WEBHOOK_PORTS: [],
    GNOMON_WEBHOOK_NETWORKS: [],
  });
  expect(parseEnv(WorkerEnv, {})).toMatchObject({ GNOMON_CACHE: "shadowkv", GNOMON_THREADS: 0 });
});

test("variables of others and empty ones do not count", () => {
  expect(parseEnv(StateEnv, { HOME: "/root", GNOMON_STATE: "", GNOMON_STATE_DIR: "/data" })).toEqual({
    GNOMON_STATE: "embedded",
    GNOMON_STATE_DIR: "/data",
  });
});

test("each wrong variable is named with its reason", () => {
  const text = message(() =>
    parseEnv(WorkerEnv, { GNOMON_STATE: "cloud", GNOMON_RANK: "many", GNOMON_THREADS: "-1", GNOMON_DEVICE: "tpu" }),
  );
  expect(text.split("\n").slice(1)).toEqual([
    expect.stringMatching(/^ {2}GNOMON_STATE: must be one of `embedded`, `aws`/),
    expect.stringMatching(/^ {2}GNOMON_DEVICE: must be one of `cpu`, `cuda`/),
    expect.stringMatching(/^ {2}GNOMON_RANK: .*number/),
    expect.stringMatching(/^ {2}GNOMON_THREADS: must be at least 0$/),
  ]);
});

test("a currency that is none is refused in words", () => {
  expect(message(() => parseEnv(ApiEnv, { GNOMON_CURRENCY: "dollar" }))).toContain(
    "GNOMON_CURRENCY: must be three capital letters, such as USD",
  );
});

test.each(["65536", "-1", "80.5", "http"])("%s is not a port", (port) => {
  expect(message(() => parseEnv(ApiEnv, { GNOMON_PORT: port }))).toContain("GNOMON_PORT");
});

test.each([StateEnv, ApiEnv, WorkerEnv])("AWS state needs its bucket, queues and region", (schema) => {
  const text = message(() => parseEnv(schema as typeof StateEnv, { GNOMON_STATE: "aws", GNOMON_BUCKET: "b" }));
  expect(text).not.toContain("GNOMON_BUCKET");
  for (const name of ["GNOMON_QUEUE_URL", "GNOMON_DEAD_LETTER_QUEUE_URL", "AWS_REGION"]) {
    expect(text).toContain(`${name}: needed where GNOMON_STATE is aws`);
  }
});

test("webhooks go where the environment says, and a slip of the pen is named", () => {
  const env = parseEnv(WebhooksEnv, {
    GNOMON_WEBHOOK_HTTP: "true",
    GNOMON_WEBHOOK_PORTS: "8443, 9000",
    GNOMON_WEBHOOK_NETWORKS: "10.0.0.0/8,::1",
  });
  expect(webhookPolicy(env)).toMatchObject({ plainHttp: true, ports: [8443, 9000] });
  expect(env.GNOMON_WEBHOOK_NETWORKS.map(([address, bits]) => `${address}/${bits}`)).toEqual(["10.0.0.0/8", "::1/128"]);
  expect(() => parseEnv(WebhooksEnv, { GNOMON_WEBHOOK_PORTS: "80,70000" })).toThrow("`70000` is not a port");
  expect(() => parseEnv(WebhooksEnv, { GNOMON_WEBHOOK_NETWORKS: "10.0.0.0/40" })).toThrow("GNOMON_WEBHOOK_NETWORKS");
});
