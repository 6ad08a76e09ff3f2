import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "../../api/contract/limits.ts";
import { createBatching, inTurn } from "../../api/state/batches/batching.ts";
import { createDocumentStore } from "../../api/state/documents/document-store.ts";
import { openDatabase } from "../../api/state/embedded/database.ts";
import { createFileObjectStore } from "../../api/state/embedded/file-object-store.ts";
import { createObjectUrls, urlSecret } from "../../api/state/embedded/object-urls.ts";
import { createSqliteJobQueue } from "../../api/state/embedded/sqlite-job-queue.ts";
import { createJobStore } from "../../api/state/jobs/job-store.ts";
import { createJobStreams } from "../../api/state/jobs/job-streams.ts";
import { createWebhookKeyrings } from "../../api/state/webhooks/webhook-keyring.ts";
import { createWebhookStore } from "../../api/state/webhooks/webhook-store.ts";

/** The embedded state in a directory of its own, with a clock that a test can move ahead; a still one moves by that alone. */
export async function openTempState({
  leaseMs = limits.leaseMs as number,
  maxReceives = limits.maxAttempts + 1,
  parent = tmpdir(),
  isStill = false,
} = {}) {
  const directory = await mkdtemp(join(parent, "gnomon-test-"));
  const database = await openDatabase(directory);
  let aheadMs = 0;
  const openedMs = Date.now();
  const now = () => (isStill ? openedMs : Date.now()) + aheadMs;
  const newId = () => randomUUID();
  const urls = createObjectUrls(await urlSecret(database), now);
  const objects = await createFileObjectStore({ database, urls, now, newId });
  const queue = createSqliteJobQueue({ database, name: "jobs", now, maxReceives });
  const webhookQueue = createSqliteJobQueue({ database, name: "webhooks", now, maxReceives: Infinity });
  const webhooks = createWebhookStore({ objects, webhookQueue, now });
  const { files, batches, batchEnd } = createBatching({ objects, now, newId, onOver: webhooks.emitBatch });
  return {
    directory,
    objects,
    urls,
    queue,
    webhookQueue,
    webhooks,
    streams: createJobStreams({ objects }),
    keyrings: createWebhookKeyrings({ objects, now, newId }),
    jobs: createJobStore({ objects, queue, now, newId, onTerminal: inTurn(webhooks.emit, batchEnd.jobEnded), leaseMs }),
    documents: createDocumentStore({ objects, now }),
    files,
    batches,
    batchEnd,
    now,
    advance: (ms: number): void => {
      aheadMs += ms;
    },
    async [Symbol.asyncDispose]() {
      await queue.close();
      await webhookQueue.close();
      await objects.close();
      await database.close();
      await rm(directory, { recursive: true });
    },
  };
}

export type TempState = Awaited<ReturnType<typeof openTempState>>;
