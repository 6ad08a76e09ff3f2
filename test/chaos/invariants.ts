import { isTerminal, JobState } from "../../api/contract/job.ts";
import { JobResult } from "../../api/contract/job-result.ts";
import { keys } from "../../api/contract/keys.ts";
import type { ObjectStore } from "../../api/state/object-store.ts";
import type { State } from "../../api/state/open-state.ts";
import { type Accepted, comparable } from "./load.ts";

export type Findings = { lost: string[]; duplicated: string[]; broken: string[] };

const TENANT = "default";

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

async function readStates(objects: ObjectStore, jobKeys: readonly string[]): Promise<Map<string, JobState>> {
  const states = new Map<string, JobState>();
  for (const key of jobKeys.filter((each) => each.endsWith("/state.json"))) {
    const state = JobState.parse(await read(objects, key));
    states.set(state.id, state);
  }
  return states;
}

/** Whether anything is left to do: a job that is not over, or something owed after its end. */
export async function isSettled({ objects }: State): Promise<boolean> {
  if ((await objects.list(keys.active, { limit: 1 })).length > 0) return false;
  const states = await readStates(objects, await listAll(objects, `t/${TENANT}/j/`));
  return [...states.values()].every(({ status }) => isTerminal(status));
}

/** Looks at everything that the store holds, once no process runs any more. */
export async function check(
  { objects, queue }: State,
  accepted: readonly Accepted[],
  calm: ReadonlyMap<string, string>,
  webhookIds: ReadonlyMap<string, ReadonlySet<string>> | null,
): Promise<Findings> {
  const findings: Findings = { lost: [], duplicated: [], broken: [] };
  const { lost, duplicated, broken } = findings;
  const jobKeys = await listAll(objects, `t/${TENANT}/j/`);
  const states = await readStates(objects, jobKeys);

  for (const { id, key, body, isCancelled } of accepted) {
    const state = states.get(id);
    if (state === undefined) lost.push(`${id} is gone`);
    else if (!isTerminal(state.status)) lost.push(`${id} is still ${state.status}`);
    else if (state.status === "failed") lost.push(`${id} failed: ${state.error?.code} ${state.error?.message}`);
    else if (state.status === "cancelled" && !isCancelled) broken.push(`${id} was cancelled by nobody`);
    if (state?.status !== "succeeded") continue;

    const result = JobResult.parse(await read(objects, keys.jobResult(TENANT, id)));
    const expected = body.questions.map((question) => calm.get(`${body.document.text}\n${question}`));
    if (JSON.stringify(result.answers.map(comparable)) !== JSON.stringify(expected)) {
      broken.push(`${id} (key ${key}) is answered otherwise than in a calm run`);
    }
  }

  const byKey = new Map<string | undefined, string>();
  for (const { id, metadata } of states.values()) {
    const other = byKey.get(metadata.key);
    if (other !== undefined) duplicated.push(`key ${metadata.key} made both ${other} and ${id}`);
    byKey.set(metadata.key, id);
  }
  for (const { id, lease, status } of states.values()) {
    if (lease !== null) broken.push(`${id} is ${status} and leased to ${lease.owner}`);
  }
  if (webhookIds !== null) {
    for (const { id, webhook } of states.values()) {
      const ids = webhookIds.get(id)?.size ?? 0;
      if (webhook !== null && ids === 0) broken.push(`the end of ${id} was not told`);
      if (ids > 1) duplicated.push(`the end of ${id} was told under ${ids} ids`);
    }
  }

  for (const key of jobKeys) {
    const [, , , id = "", name] = key.split("/");
    const state = states.get(id);
    if (state === undefined) broken.push(`${key} belongs to no job`);
    else if (name === "result.json" && !["succeeded", "cancelled", "expired"].includes(state.status)) {
      broken.push(`${key} is the result of a job that is ${state.status}`);
    }
  }
  for (const key of await listAll(objects, keys.active)) broken.push(`${key} is left`);
  for (const key of await listAll(objects, keys.jobIndexOf(TENANT))) {
    const id = /-(job_.*)$/.exec(key)?.[1] ?? "";
    if (!states.has(id)) broken.push(`${key} leads to no job`);
  }
  const letters = (await queue.deadLetter?.receive({ max: 10, waitMs: 0, visibilityMs: 1_000 })) ?? [];
  if (letters.length > 0) broken.push(`${letters.length} dead letters are left`);
  return findings;
}
