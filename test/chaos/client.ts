import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { State } from "../../api/state/open-state.ts";
import type { AcceptedBatch } from "./batch-load.ts";
import { type Accepted, cancel, randomBody, remove, type Stored, storeDocument, submit } from "./load.ts";

/** All that the clients of a run have had accepted, and what else they did. */
export type Ledger = {
  jobs: Accepted[];
  documents: Stored[];
  batches: AcceptedBatch[];
  cancels: number;
  deletes: number;
  /** Messages sent once more beside the service's own, most of them late and so out of order. */
  duplicate_messages: number;
};

type Client = {
  api: string;
  state: State;
  random: () => number;
  ledger: Ledger;
  webhook: string | null;
  /** Between two jobs, on average. */
  everyMs: number;
  over: AbortSignal;
  limit: AbortSignal;
};

/** One client that submits job after job, cancels and deletes some, and stores a document now and then. */
export async function keepSubmitting(client: Client): Promise<void> {
  const { api, state, random, ledger, webhook, over, limit } = client;
  while (!over.aborted) {
    const body = randomBody(random, random() < 0.3 ? webhook : null);
    const job = await submit(api, randomUUID(), body, limit);
    ledger.jobs.push(job);
    if (random() < 0.15) {
      await sendAgain(state, job, Math.floor(random() * 4));
      ledger.duplicate_messages++;
    }
    if (random() < 0.05) {
      job.isCancelled = true;
      await cancel(api, job.id, limit);
      ledger.cancels++;
    }
    const earlier = ledger.jobs[Math.floor(random() * ledger.jobs.length)];
    if (earlier !== undefined && random() < 0.1 && !earlier.isDeleted) {
      earlier.isDeleted = await remove(api, earlier.id, limit);
      if (earlier.isDeleted) ledger.deletes++;
    }
    if (random() < 0.05) ledger.documents.push(await storeDocument(api, random, limit));
    await delay(client.everyMs * (0.5 + random()));
  }
}

async function sendAgain({ queue }: State, { id, body }: Accepted, delaySeconds: number): Promise<void> {
  const message = {
    v: 1,
    tenant: "default",
    job: id,
    priority: body.priority,
    deliver_by_ms: null,
    reserved_tokens: 1,
    document: null,
  };
  // On a full disk it cannot be sent, which is nothing to the service.
  await queue.send({ body: JSON.stringify(message), delaySeconds }).catch(() => undefined);
}
