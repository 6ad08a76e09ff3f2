import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateBucketCommand } from "@aws-sdk/client-s3";
import { CreateQueueCommand, GetQueueAttributesCommand } from "@aws-sdk/client-sqs";
import { StateEnv } from "../../api/contract/env.ts";
import { limits } from "../../api/contract/limits.ts";
import { createS3Client, createSqsClient } from "../../api/state/aws/clients.ts";
import { startMoto } from "../support/moto.ts";
import { startFaultProxy } from "./fault-proxy.ts";

/** What state the processes under test are on. */
export type Backend = {
  name: "embedded" | "aws";
  /** For the processes: through the faults, where there is a wire to disturb. */
  env: Record<string, string>;
  /** For the checks: past the faults. */
  direct: StateEnv;
  setFaults(on: boolean): void;
  faults(): Record<string, number>;
  stop(): Promise<void>;
};

export async function embeddedBackend(directory?: string): Promise<Backend> {
  const own = directory ?? (await mkdtemp(join(tmpdir(), "gnomon-chaos-")));
  const env = { GNOMON_STATE_DIR: own };
  return {
    name: "embedded",
    env,
    direct: StateEnv.parse(env),
    setFaults() {},
    faults: () => ({}),
    stop: () => rm(own, { recursive: true, force: true }),
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
  const proxies = [
    await startFaultProxy({ target: moto.endpoint, random, rate }),
    await startFaultProxy({ target: moto.endpoint, random, rate }),
  ] as const;
  return {
    name: "aws",
    env: { ...env, GNOMON_S3_ENDPOINT: proxies[0].endpoint, GNOMON_SQS_ENDPOINT: proxies[1].endpoint },
    direct: StateEnv.parse({ ...env, GNOMON_S3_ENDPOINT: moto.endpoint, GNOMON_SQS_ENDPOINT: moto.endpoint }),
    setFaults(on) {
      for (const proxy of proxies) proxy.set(on);
    },
    faults() {
      const sum: Record<string, number> = {};
      for (const { counts } of proxies) {
        for (const [fault, count] of Object.entries(counts)) sum[fault] = (sum[fault] ?? 0) + count;
      }
      return sum;
    },
    async stop() {
      for (const proxy of proxies) proxy.stop();
      await moto.stop();
    },
  };
}
