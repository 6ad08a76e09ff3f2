import { BatchState, isBatchOver } from "../../api/contract/batch.ts";
import { UNFINISHED_CODES } from "../../api/contract/batch-line.ts";
import { FileInfo } from "../../api/contract/file.ts";
import { keys } from "../../api/contract/keys.ts";
import type { ObjectStore } from "../../api/state/object-store.ts";
import { type AcceptedBatch, comparableLine, parseLines } from "./batch-load.ts";
import type { Findings } from "./invariants.ts";

type Stored = { objects: ObjectStore; all: readonly string[] };

const TENANT = "default";

/** Every accepted batch is over; each of its lines is answered once, as in a calm run, or told once why it is not. */
export async function checkBatches(
  { objects, all }: Stored,
  batches: readonly AcceptedBatch[],
  calm: ReadonlyMap<string, string>,
  findings: Findings,
): Promise<void> {
  for (const batch of batches) {
    const state = await readAs(objects, keys.batchState(TENANT, batch.id), BatchState);
    if (state === null) findings.lost.push(`${batch.id} is gone`);
    else if (!isBatchOver(state.status)) findings.lost.push(`${batch.id} is still ${state.status}`);
    else await checkBatch(objects, batch, state, calm, findings);
    if ((await readText(objects, batch.file)) !== batch.text) findings.lost.push(`${batch.file} is not what was sent`);
  }
  const byKey = new Map<string, string>();
  for (const key of all.filter((each) => each.endsWith("/batch.json"))) {
    const { id, metadata } = BatchState.parse(JSON.parse(await textOf(objects, key)));
    const name = metadata?.key ?? id;
    if (byKey.has(name)) findings.duplicated.push(`key ${name} made both ${byKey.get(name)} and ${id}`);
    byKey.set(name, id);
  }
}

async function checkBatch(
  objects: ObjectStore,
  { id, kind, lines }: AcceptedBatch,
  state: BatchState,
  calm: ReadonlyMap<string, string>,
  { lost, duplicated, broken }: Findings,
): Promise<void> {
  const allowed = {
    plain: ["completed"],
    bad: ["failed"],
    partly: ["completed"],
    cancelled: ["cancelled", "completed"],
  }[kind];
  if (!allowed.includes(state.status)) lost.push(`${id} (${kind}) is ${state.status}: ${JSON.stringify(state.errors)}`);
  const counts = JSON.stringify(state.request_counts);
  const faulty = lines.find(({ fault }) => fault !== null);
  if (faulty !== undefined) {
    const code = faulty.fault === "url" ? "url_mismatch" : "invalid_request";
    const named = state.errors.map(({ code, line }) => `${code} ${line}`).join();
    if (named !== `${code} ${lines.indexOf(faulty) + 1}`) broken.push(`${id} says what is wrong otherwise: ${named}`);
  }
  const output = parseLines((await readText(objects, state.output_file_id)) ?? "");
  const errors = parseLines((await readText(objects, state.error_file_id)) ?? "");
  const seen = new Set<string>();
  for (const { custom_id } of [...output, ...errors]) {
    if (seen.has(custom_id)) duplicated.push(`${id} has ${custom_id} twice`);
    seen.add(custom_id);
  }
  for (const line of output) {
    const asked = lines.find(({ customId }) => customId === line.custom_id);
    if (asked === undefined) broken.push(`${id} answers ${line.custom_id}, which nobody asked`);
    else if (asked.fault !== null) broken.push(`${id} answers ${line.custom_id}, which cannot be answered`);
    else if (comparableLine(line) !== calm.get(asked.content))
      broken.push(`${id} answers ${line.custom_id} otherwise than in a calm run`);
  }
  for (const { custom_id, error } of errors) {
    const isFair =
      (kind === "partly" && custom_id === faulty?.customId && error?.code === "invalid_request") ||
      (state.status === "cancelled" && error?.code === UNFINISHED_CODES.cancelled);
    if (!isFair) lost.push(`${id} has no answer to ${custom_id}: ${error?.code} ${error?.message}`);
  }
  // None of its lines was begun: it failed, or was cancelled before they were looked at.
  const isRun = state.status === "completed" || state.lines > 0;
  if (isRun && seen.size !== lines.length) lost.push(`${id} tells of ${seen.size} lines of ${lines.length}`);
  const exact = { total: isRun ? lines.length : 0, completed: output.length, failed: errors.length };
  if (counts !== JSON.stringify(exact)) broken.push(`${id} counts ${counts}, and has ${JSON.stringify(exact)}`);
}

/** Whether a key of a file or a batch belongs to nothing; what is wrong with it, or null. */
export async function batchOrphan({ objects, all }: Stored, key: string): Promise<string | null> {
  const [, , kind, id = "", name] = key.split("/");
  const has = (sought: string): boolean => all.includes(sought);
  const entryId = id.slice(id.indexOf("-") + 1);
  switch (kind) {
    case "f":
      return has(keys.fileInfo(TENANT, id)) && has(keys.file(TENANT, id)) ? null : `${key} belongs to no file`;
    case "fx": {
      const info = await readAs(objects, keys.fileInfo(TENANT, entryId), FileInfo);
      return info !== null && keys.fileIndex(TENANT, info.created_ms, entryId) === key
        ? null
        : `${key} leads to no file`;
    }
    case "b":
      if (name === "open") return `${key} is left of a job that is over`;
      return has(keys.batchState(TENANT, id)) ? null : `${key} belongs to no batch`;
    case "bx":
      return has(keys.batchState(TENANT, entryId)) ? null : `${key} leads to no batch`;
    default:
      return `${key} is left`;
  }
}

async function readAs<T>(objects: ObjectStore, key: string, schema: { parse(value: unknown): T }): Promise<T | null> {
  const object = await objects.get(key);
  return object && schema.parse(JSON.parse(Buffer.from(object.body).toString()));
}

async function textOf(objects: ObjectStore, key: string): Promise<string> {
  return Buffer.from((await objects.get(key))?.body ?? []).toString();
}

const readText = async (objects: ObjectStore, file: string | null): Promise<string | null> =>
  file === null ? null : textOf(objects, keys.file(TENANT, file));
