import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateBucketCommand } from "@aws-sdk/client-s3";
import { CreateQueueCommand, GetQueueAttributesCommand } from "@aws-sdk/client-sqs";
import { StateEnv } from "../../api/contract/env.ts";
import { limits } from "../../api/contract/limits.ts";
import { createS3Client, createSqsClient } from "../../api/state/aws/clients.ts";
import { startMoto } from "../support/moto.ts";
import { mountSmallDisk, type SmallDisk } from "../support/small-disk.ts";
import { type FaultProxy, startFaultProxy } from "./fault-proxy.ts";

/** What state the processes under test are on. */
export type Backend = {
  name: "embedded" | "aws";
  /** For the processes: through the faults, where there is a wire to disturb. */
  env: Record<string, string>;
  /** For the checks: past the faults. */
  direct: StateEnv;
  /** Can be filled; null where the state lies elsewhere, or where no disk could be mounted. */
  disk: SmallDisk | null;
  setFaults(on: boolean): void;
  /** By the wire that they happened on. */
  faults(): Record<string, FaultProxy["counts"]>;
  stop(): Promise<void>;
};

/** Files and SQLite, on a disk of their own where this user may mount one. */
export async function embeddedBackend(): Promise<Backend> {
  const disk = await mountSmallDisk(256 * 1024 * 1024);
  const own = disk?.path ?? (await mkdtemp(join(tmpdir(), "gnomon-chaos-")));
  const env = { GNOMON_STATE_DIR: join(own, "state") };
  return {
    name: "embedded",
    env,
    direct: StateEnv.parse(env),
    disk,
    setFaults() {},
    faults: () => ({}),
    stop: async () => (disk === null ? rm(own, { recursive: true, force: true }) : disk[Symbol.asyncDispose]()),
  };
}

/** moto's S3 and SQS behind a proxy each. */
export async function awsBackend(random: () => number, rate: number): Promise<Backend> {
  const moto = await startMoto();
  const region = "us-east-1";
  const bucket = "chaos";
  const s3 = createS3Client({ region, endpoint: moto.endpoint });
  const sqs = createSqsClient({ region, endpoint: moto.endpoint });
  await s3.send(new CreateBucketCommand({ Bucket: bucket }));
  const createQueue = async (QueueName: string, Attributes: Record<string, string> = {}) =>
    (await sqs.send(new CreateQueueCommand({ QueueName, Attributes }))).QueueUrl ?? "";
  const deadLetters = await createQueue("dead");
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: deadLetters, AttributeNames: ["QueueArn"] }),
  );
  const redrive = { deadLetterTargetArn: Attributes?.QueueArn, maxReceiveCount: limits.maxReceives };
  const env = {
    GNOMON_STATE: "aws",
    GNOMON_BUCKET: bucket,
    GNOMON_QUEUE_URL: await createQueue("jobs", { RedrivePolicy: JSON.stringify(redrive) }),
    GNOMON_DEAD_LETTER_QUEUE_URL: deadLetters,
    GNOMON_WEBHOOK_QUEUE_URL: await createQueue("webhooks"),
    AWS_REGION: region,
  };
  s3.destroy();
  sqs.destroy();
  const proxies = {
    s3: await startFaultProxy({ target: moto.endpoint, random, rate }),
    sqs: await startFaultProxy({ target: moto.endpoint, random, rate }),
  };
  return {
    name: "aws",
    env: { ...env, GNOMON_S3_ENDPOINT: proxies.s3.endpoint, GNOMON_SQS_ENDPOINT: proxies.sqs.endpoint },
    direct: StateEnv.parse({ ...env, GNOMON_S3_ENDPOINT: moto.endpoint, GNOMON_SQS_ENDPOINT: moto.endpoint }),
    disk: null,
    setFaults(on) {
      for (const proxy of Object.values(proxies)) proxy.set(on);
    },
    faults: () => ({ s3: proxies.s3.counts, sqs: proxies.sqs.counts }),
    async stop() {
      for (const proxy of Object.values(proxies)) proxy.stop();
      await moto.stop();
    },
  };
}
