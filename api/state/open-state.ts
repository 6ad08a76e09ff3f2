import type { StateEnv } from "../contract/env.ts";
import { AppError } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";
import { createS3Client, createSqsClient } from "./aws/clients.ts";
import { createS3ObjectStore } from "./aws/s3-object-store.ts";
import { createSqsJobQueue } from "./aws/sqs-job-queue.ts";
import { openDatabase } from "./embedded/database.ts";
import { createFileObjectStore } from "./embedded/file-object-store.ts";
import { createObjectUrls, type ObjectUrls, urlSecret } from "./embedded/object-urls.ts";
import { createSqliteJobQueue } from "./embedded/sqlite-job-queue.ts";
import type { JobQueue } from "./job-queue.ts";
import type { ObjectStore } from "./object-store.ts";
import { probeObjectStore } from "./probe.ts";

export type State = {
  objects: ObjectStore;
  queue: JobQueue;
  webhookQueue: JobQueue;
  /** Checks the embedded store's presigned URLs, which the API serves; null where S3 serves its own. */
  urls: ObjectUrls | null;
  close(): Promise<void>;
};

type Deps = { now: () => number; newId: () => string };

/** Opens the adapters that `env` names. Throws AppError `store_unsuitable` if the store fails its probe, `unavailable`. */
export async function openState(env: StateEnv, deps: Deps): Promise<State> {
  const state = await openAdapters(env, deps);
  try {
    await probeObjectStore(state.objects, deps.newId(), deps.now());
    return state;
  } catch (error) {
    await state.close();
    throw error;
  }
}

/** As openState without the probe, for a thread whose process has made it. */
export const openAdapters = async (env: StateEnv, deps: Deps): Promise<State> =>
  env.GNOMON_STATE === "aws" ? openAws(env, deps) : openEmbedded(env, deps);

async function openEmbedded(env: StateEnv, { now, newId }: Deps): Promise<State> {
  const database = await openDatabase(env.GNOMON_STATE_DIR);
  const urls = createObjectUrls(await urlSecret(database), now);
  const objects = await createFileObjectStore({ database, urls, now, newId });
  const queue = createSqliteJobQueue({ database, name: "jobs", now, maxReceives: limits.maxReceives });
  // Whatever happens to a delivery, it stays in its queue until its schedule has ended.
  const webhookQueue = createSqliteJobQueue({ database, name: "webhooks", now, maxReceives: Infinity });
  return {
    objects,
    queue,
    webhookQueue,
    urls,
    async close() {
      await queue.close();
      await webhookQueue.close();
      await objects.close();
      await database.close();
    },
  };
}

function openAws(env: StateEnv, { newId }: Deps): State {
  const { GNOMON_BUCKET: bucket, GNOMON_QUEUE_URL: queueUrl, GNOMON_DEAD_LETTER_QUEUE_URL: deadLetterUrl } = env;
  const { GNOMON_WEBHOOK_QUEUE_URL: webhookQueueUrl, AWS_REGION: region } = env;
  if (!bucket || !queueUrl || !deadLetterUrl || !webhookQueueUrl || !region) {
    throw new AppError("invalid_environment", "AWS state needs a bucket, three queues and a region");
  }
  const s3 = createS3Client({ region, endpoint: env.GNOMON_S3_ENDPOINT });
  const sqs = createSqsClient({ region, endpoint: env.GNOMON_SQS_ENDPOINT });
  const objects = createS3ObjectStore({ client: s3, bucket, newId });
  const queue = createSqsJobQueue({ client: sqs, queueUrl, deadLetterUrl });
  const webhookQueue = createSqsJobQueue({ client: sqs, queueUrl: webhookQueueUrl, deadLetterUrl: null });
  return {
    objects,
    queue,
    webhookQueue,
    urls: null,
    async close() {
      await queue.close();
      await webhookQueue.close();
      await objects.close();
      s3.destroy();
      sqs.destroy();
    },
  };
}
