import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { isBatchOver } from "../../api/contract/batch.ts";
import { BatchOutputLine } from "../../api/contract/batch-line.ts";
import { Batch } from "../../api/contract/batch-resource.ts";
import { File as FileResource } from "../../api/contract/file.ts";
import { DOCUMENTS, insist, MAX_TOKENS, QUESTIONS } from "./load.ts";

/**
 * `bad` has a line that makes it no batch, `partly` one that fails alone, `cancelled` was asked to stop.
 */
type Kind = "plain" | "bad" | "partly" | "cancelled";

export type BatchLine = { customId: string; content: string; fault: "url" | "request" | null };

/** A batch that the API has answered 200 for. */
export type AcceptedBatch = { id: string; key: string; file: string; text: string; kind: Kind; lines: BatchLine[] };

type Load = {
  api: string;
  random: () => number;
  batches: AcceptedBatch[];
  /** Between two batches, on average. */
  everyMs: number;
  over: AbortSignal;
  limit: AbortSignal;
};

const FIRST: readonly Kind[] = ["plain", "partly", "cancelled", "bad"];
const LINES = { least: 10, most: 30 };

/** All that a line can ask. */
const CONTENTS = DOCUMENTS.flatMap((text) => QUESTIONS.map((question) => `${text}\n\n${question}`));

const toLine =
  (model: string) =>
  ({ customId, content, fault }: BatchLine) => ({
    custom_id: customId,
    method: "POST",
    url: fault === "url" ? "/v1/embeddings" : "/v1/chat/completions",
    body: {
      model,
      messages: [{ role: "user", content }],
      max_tokens: MAX_TOKENS,
      temperature: 0,
      ...(fault === "request" && { n: 2 }),
    },
  });

const toText = (model: string, lines: readonly BatchLine[]): string =>
  lines
    .map(toLine(model))
    .map((line) => `${JSON.stringify(line)}\n`)
    .join("");

/** The whole answer to a request, whatever it takes. */
async function answerTo<S extends z.ZodType>(
  schema: S,
  url: string,
  init: () => RequestInit,
  limit: AbortSignal,
): Promise<z.infer<S>> {
  for (;;) {
    const response = await insist(url, init(), limit);
    const text = await response.text().catch(() => null);
    if (text === null) continue;
    if (!response.ok) throw new Error(`${url} was refused with ${response.status}: ${text}`);
    return schema.parse(JSON.parse(text));
  }
}

const Models = z.object({ data: z.array(z.object({ id: z.string() })) });

const servedModel = async (api: string, limit: AbortSignal): Promise<string> =>
  (await answerTo(Models, `${api}/v1/models`, () => ({}), limit)).data[0]?.id ?? "";

async function begin(
  { api, limit }: Pick<Load, "api" | "limit">,
  model: string,
  kind: Kind,
  lines: BatchLine[],
): Promise<AcceptedBatch> {
  const text = toText(model, lines);
  const upload = () => {
    const body = new FormData();
    body.append("purpose", "batch");
    body.append("file", new Blob([text]), "in.jsonl");
    return { method: "POST", body };
  };
  const file = await answerTo(FileResource, `${api}/v1/files`, upload, limit);
  const key = randomUUID();
  const asked = {
    input_file_id: file.id,
    endpoint: "/v1/chat/completions",
    completion_window: "24h",
    metadata: { key },
  };
  const create = () => ({
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": key },
    body: JSON.stringify(asked),
  });
  const { id } = await answerTo(Batch, `${api}/v1/batches`, create, limit);
  return { id, key, file: file.id, text, kind, lines };
}

/** One client that sends batch after batch, and cancels some. The first four are one of each kind. */
export async function keepBatching({ api, random, batches, everyMs, over, limit }: Load): Promise<void> {
  const model = await servedModel(api, limit);
  for (let n = 0; !over.aborted; n++) {
    const kind = FIRST[n] ?? pickKind(random());
    const count = LINES.least + Math.floor(random() * (LINES.most - LINES.least + 1));
    const fault = { plain: null, cancelled: null, bad: "url" as const, partly: "request" as const }[kind];
    const faulty = Math.floor(random() * count);
    const lines = Array.from({ length: count }, (_, index) => ({
      customId: `line-${index + 1}`,
      content: CONTENTS[Math.floor(random() * CONTENTS.length)] ?? "",
      fault: index === faulty ? fault : null,
    }));
    const batch = await begin({ api, limit }, model, kind, lines);
    batches.push(batch);
    if (kind === "cancelled") {
      await delay(everyMs * 0.2 * random());
      await cancelBatch(api, batch.id, limit);
    }
    await delay(everyMs * (0.5 + random()), undefined, { signal: over }).catch(() => undefined);
  }
}

const pickKind = (drawn: number): Kind =>
  drawn < 0.1 ? "bad" : drawn < 0.3 ? "partly" : drawn < 0.5 ? "cancelled" : "plain";

/** 409 says that it was over before. */
async function cancelBatch(api: string, id: string, limit: AbortSignal): Promise<void> {
  for (;;) {
    limit.throwIfAborted();
    const init = { method: "POST", signal: AbortSignal.timeout(20_000) };
    const response = await fetch(`${api}/v1/batches/${id}/cancel`, init).catch(() => null);
    await response?.body?.cancel();
    if (response?.status === 200 || response?.status === 409) return;
    await delay(200);
  }
}

/** What each line is answered by a service that nothing disturbs. */
export async function calmLines(api: string, limit: AbortSignal): Promise<Map<string, string>> {
  const lines = CONTENTS.map((content, index) => ({ customId: String(index), content, fault: null }));
  const { id } = await begin({ api, limit }, await servedModel(api, limit), "plain", lines);
  for (;;) {
    const batch = await answerTo(Batch, `${api}/v1/batches/${id}`, () => ({}), limit);
    if (isBatchOver(batch.status)) {
      if (batch.output_file_id === undefined) throw new Error(`the calm batch is ${batch.status}, without answers`);
      const output = await insist(`${api}/v1/files/${batch.output_file_id}/content`, {}, limit);
      const answered = parseLines(await output.text());
      return new Map(answered.map((line) => [CONTENTS[Number(line.custom_id)] ?? "", comparableLine(line)]));
    }
    await delay(200);
  }
}

export const parseLines = (text: string): BatchOutputLine[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => BatchOutputLine.parse(JSON.parse(line)));

/** All of a line's answer that must not depend on when, where and how often it was tried. */
export function comparableLine({ response }: BatchOutputLine): string {
  const { choices, usage, model } = response?.body ?? {};
  return JSON.stringify({ status: response?.status_code, model, choices, usage });
}
