import { randomUUID } from "node:crypto";
import { isTerminal, JobState } from "../../api/contract/job.ts";
import { JobResult } from "../../api/contract/job-result.ts";
import { keys } from "../../api/contract/keys.ts";
import { limits } from "../../api/contract/limits.ts";
import { createBatching } from "../../api/state/batches/batching.ts";
import { createDocumentStore } from "../../api/state/documents/document-store.ts";
import { createUploadStore } from "../../api/state/documents/upload-store.ts";
import { createJobStore } from "../../api/state/jobs/job-store.ts";
import type { ObjectStore } from "../../api/state/object-store.ts";
import type { State } from "../../api/state/open-state.ts";
import { probeObjectStore } from "../../api/state/probe.ts";
import { createRetention } from "../../api/state/retention.ts";
import { batchOrphan, checkBatches } from "./batch-invariants.ts";
import type { Ledger } from "./client.ts";
import { comparable } from "./load.ts";

export type Findings = { lost: string[]; duplicated: string[]; broken: string[] };

const TENANT = "default";

type Stored = { objects: ObjectStore; all: readonly string[]; states: ReadonlyMap<string, JobState> };

/** Whether nothing is left to do. A job leaves this index last, when nothing of it is owed any more. */
export async function isSettled({ objects }: State): Promise<boolean> {
  return (await objects.list(keys.active, { limit: 1 })).length === 0;
}

/** Looks at everything that the store holds, once no process runs any more. */
export async function check(
  state: State,
  ledger: Ledger,
  calm: { answers: ReadonlyMap<string, string>; lines: ReadonlyMap<string, string> },
  webhookIds: ReadonlyMap<string, ReadonlySet<string>> | null,
): Promise<Findings> {
  const findings: Findings = { lost: [], duplicated: [], broken: [] };
  const { objects, queue } = state;
  await tidy(state);
  const all = await listAll(objects, "");
  const stored: Stored = { objects, all, states: await readStates(objects, all) };
  await checkJobs(stored, ledger, calm.answers, findings);
  await checkBatches(stored, ledger.batches, calm.lines, findings);
  checkOnce(stored, webhookIds, findings);
  await checkDocuments(stored, ledger, findings);
  await checkOrphans(stored, findings);
  const letters = (await queue.deadLetter?.receive({ max: 10, waitMs: 0, visibilityMs: 1_000 })) ?? [];
  if (letters.length > 0) findings.broken.push(`${letters.length} dead letters are left`);
  return findings;
}

/** Every accepted job is over, and answered as in a calm run. */
async function checkJobs(
  { objects, states }: Stored,
  { jobs }: Ledger,
  calm: ReadonlyMap<string, string>,
  { lost, broken }: Findings,
) {
  for (const { id, key, body, isCancelled, isDeleted } of jobs) {
    const state = states.get(id);
    if (isDeleted) {
      if (state !== undefined) broken.push(`${id} was deleted and is still there`);
      continue;
    }
    if (state === undefined) lost.push(`${id} is gone`);
    else if (!isTerminal(state.status)) lost.push(`${id} is still ${state.status}`);
    else if (state.status === "failed") lost.push(`${id} failed: ${state.error?.code} ${state.error?.message}`);
    else if (state.status !== "succeeded" && !isCancelled)
      broken.push(`${id} is ${state.status}, which nobody asked for`);
    if (state?.status !== "succeeded") continue;

    const result = JobResult.parse(await read(objects, keys.jobResult(TENANT, id)));
    const expected = body.questions.map((question) => calm.get(`${body.document.text}\n${question}`));
    if (JSON.stringify(result.answers.map(comparable)) !== JSON.stringify(expected)) {
      broken.push(`${id} (key ${key}) is answered otherwise than in a calm run`);
    }
  }
}

/** One job for one key, one end for one job; nobody holds a lease. */
function checkOnce(
  { states }: Stored,
  webhookIds: ReadonlyMap<string, ReadonlySet<string>> | null,
  { duplicated, broken }: Findings,
): void {
  const byKey = new Map<string | undefined, string>();
  for (const { id, metadata, lease, status, webhook, batch } of states.values()) {
    if (lease !== null) broken.push(`${id} is ${status} and leased to ${lease.owner}`);
    // Those that work on a batch have no key of a client, and are told of with it.
    if (batch !== null) continue;
    const other = byKey.get(metadata.key);
    if (other !== undefined) duplicated.push(`key ${metadata.key} made both ${other} and ${id}`);
    byKey.set(metadata.key, id);
    const ids = webhookIds?.get(id)?.size ?? 0;
    if (webhookIds !== null && webhook !== null && ids === 0) broken.push(`the end of ${id} was not told`);
    if (ids > 1) duplicated.push(`the end of ${id} was told under ${ids} ids`);
  }
}

/** Every accepted document is there, whole, and listed once. */
async function checkDocuments({ objects }: Stored, ledger: Ledger, { lost, duplicated }: Findings): Promise<void> {
  const documents = createDocumentStore({ objects, now: Date.now });
  const listed = new Map<string, number>();
  for (let after: string | null = null, isMore = true; isMore; isMore = after !== null) {
    const page: Awaited<ReturnType<typeof documents.list>> = await documents.list(TENANT, { after, limit: 100 });
    for (const { id } of page.items) listed.set(id, (listed.get(id) ?? 0) + 1);
    after = page.next;
  }
  for (const { id, text } of ledger.documents) {
    if ((await documents.getDocumentText(TENANT, id)) !== text) lost.push(`${id} is not the text that was sent`);
    if (!listed.has(id)) lost.push(`${id} is not listed`);
  }
  for (const [id, times] of listed) if (times > 1) duplicated.push(`${id} is listed ${times} times`);
}

/** What may be in the store when all is done, and what it must belong to. */
async function checkOrphans({ objects, all, states }: Stored, { broken }: Findings): Promise<void> {
  const known = new Set(all);
  for (const key of all) {
    const [top = "", tenant = "", kind = "", id = "", name] = key.split("/");
    const where = top === "t" && tenant === TENANT ? kind : top;
    switch (where) {
      case "j": {
        const status = states.get(id)?.status;
        if (status === undefined) broken.push(`${key} belongs to no job`);
        else if (name === "stream.json") broken.push(`${key} is left of a job that is ${status}`);
        else if (name === "result.json" && status === "failed")
          broken.push(`${key} is the result of a job that failed`);
        break;
      }
      case "ix":
        if (!states.has(id.slice(id.indexOf("-") + 1))) broken.push(`${key} leads to no job`);
        break;
      case "idem": {
        const { job } = (await read(objects, key)) as { job: string };
        if (!states.has(job)) broken.push(`${key} stands for ${job}, which is not there`);
        break;
      }
      case "d":
        if (!known.has(keys.documentInfo(TENANT, id))) broken.push(`${key} belongs to no document`);
        break;
      case "dx":
        if (!known.has(keys.documentInfo(TENANT, id.slice(id.indexOf("-") + 1))))
          broken.push(`${key} leads to no document`);
        break;
      case "f":
      case "fx":
      case "b":
      case "bx": {
        const orphan = await batchOrphan({ objects, all }, key);
        if (orphan !== null) broken.push(orphan);
        break;
      }
      case "workers":
      case "w":
        break;
      default:
        broken.push(`${key} is left`);
    }
  }
}

/** What is removed hours later, by whoever starts or lists then. */
async function tidy(state: State): Promise<void> {
  const { objects } = state;
  const laterMs = Date.now() + 2 * 3_600_000;
  await probeObjectStore(objects, randomUUID(), laterMs);
  await createDocumentStore({ objects, now: () => laterMs }).list(TENANT, { after: null, limit: 10_000 });
  await removeLitter(state);
  await createUploadStore({ objects, now: () => laterMs + limits.uploadMs, newId: randomUUID }).sweep();
}

/** Of requests for documents, files and batches that were killed on their way: seen twice, a day apart. */
async function removeLitter(state: State): Promise<void> {
  let ms = Date.now();
  const now = () => ms;
  const newId = randomUUID;
  const { objects } = state;
  const { files, batches } = createBatching({ objects, now, newId, onOver: async () => {} });
  const jobs = createJobStore({ ...state, now, newId, leaseMs: limits.leaseMs });
  const log = {
    warn(fields: object): void {
      throw new Error("what is past its retention cannot be removed", { cause: fields });
    },
  };
  const retentionMs = Number.POSITIVE_INFINITY;
  const removeOld = createRetention({ objects, jobs, files, batches, retentionMs, now, log });
  await removeOld();
  ms += 25 * 3_600_000;
  await removeOld();
}

async function listAll(objects: ObjectStore, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for (let after: string | undefined; ; after = found.at(-1)) {
    const page = await objects.list(prefix, { limit: 1000, ...(after !== undefined && { after }) });
    found.push(...page.map(({ key }) => key));
    if (page.length < 1000) return found;
  }
}

async function read(objects: ObjectStore, key: string): Promise<unknown> {
  const object = await objects.get(key);
  return object && JSON.parse(Buffer.from(object.body).toString());
}

async function readStates(objects: ObjectStore, all: readonly string[]): Promise<Map<string, JobState>> {
  const states = new Map<string, JobState>();
  for (const key of all.filter((each) => each.endsWith("/state.json"))) {
    const state = JobState.parse(await read(objects, key));
    states.set(state.id, state);
  }
  return states;
}
