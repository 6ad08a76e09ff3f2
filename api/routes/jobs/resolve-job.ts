import { counted } from "../../contract/counted.ts";
import { type DocumentInfo, textBytesOf } from "../../contract/document.ts";
import { AppError } from "../../contract/errors.ts";
import type { Price } from "../../contract/job.ts";
import type { CreateJob, JobInput, JobRequest } from "../../contract/job-request.ts";
import { limits } from "../../contract/limits.ts";
import { checkLogprobs } from "../../contract/logprobs-limit.ts";
import { promptsOf } from "../../contract/prompts.ts";
import { Sampling } from "../../contract/sampling.ts";
import { checkModelIsServed, countFittingPrompts } from "../../served-model.ts";
import { documentNotFound } from "../documents/describe-document.ts";
import { capTokens } from "./budget.ts";
import type { JobDeps } from "./job-deps.ts";

type Deps = Pick<JobDeps, "documents" | "quotes" | "model" | "price" | "checkWebhook" | "now">;

/** Inline text, or the id of a stored one. */
type Source = { id: string | undefined; text: string };

type Measured = {
  sources: Source[];
  /** Exact, of each sequence. */
  promptTokens: number[];
  /** Of each sequence, under every cap. */
  maxTokens: number;
  price: Price | null;
};

/** Checks and counts what is asked. Throws what is wrong with it; stores nothing. */
export async function measureJob(tenant: string, asked: CreateJob, deps: Deps): Promise<Measured> {
  const { documents, quotes, model, checkWebhook, now } = deps;
  checkModelIsServed(model, asked.model);
  if (asked.deliver_by !== undefined && asked.deliver_by * 1000 <= now()) {
    throw new AppError("invalid_request", "deliver_by has passed", {
      field: "deliver_by",
      detail: "`deliver_by` has passed: give a time to come, in seconds since 1970.",
    });
  }
  const quote = asked.quote_id === undefined ? null : await quotes.get(tenant, asked.quote_id);
  if (asked.quote_id !== undefined && quote === null) throw quoteNotFound(asked.quote_id);
  const price = quote === null ? deps.price : quote.price;

  if (asked.webhook !== undefined) await checkWebhook(tenant, asked.webhook.url);
  const sources = await readSources(tenant, asked, documents);
  const prompts = promptsOf(
    inputOf(asked, []),
    sources.map(({ text }) => text),
  );
  const promptTokens = await countFittingPrompts(model, prompts, asked.max_tokens);
  const maxTokens = capTokens(asked, promptTokens, price, quote);
  checkLogprobs(asked, promptTokens.length, maxTokens);
  return { sources, promptTokens, maxTokens, price };
}

/** The request of a job with every default, count and cap in it. Stores the inline texts. Throws as measureJob does. */
export async function resolveJob(tenant: string, asked: CreateJob, deps: Deps): Promise<JobRequest> {
  const { sources, promptTokens, maxTokens, price } = await measureJob(tenant, asked, deps);
  const ids = await Promise.all(
    sources.map(async ({ id, text }) => id ?? (await deps.documents.putDocument(tenant, text)).id),
  );
  return {
    model: deps.model.id,
    input: inputOf(asked, ids),
    prompt_tokens: promptTokens,
    max_tokens: maxTokens,
    ...Sampling.parse(asked),
    priority: asked.priority,
    deliver_by_ms: asked.deliver_by === undefined ? null : Math.round(asked.deliver_by * 1000),
    ttl_ms: asked.ttl_seconds === undefined ? null : asked.ttl_seconds * 1000,
    metadata: asked.metadata,
    webhook: asked.webhook ?? null,
    price,
    quote_id: asked.quote_id ?? null,
    retry_of: null,
    idempotency_hash: null,
  };
}

const quoteNotFound = (id: string): AppError =>
  new AppError("quote_not_found", `no quote ${id}`, {
    field: "quote_id",
    detail: `There is no quote \`${id}\`, or it has expired: ask POST /v1/jobs/quote for a new one.`,
  });

function inputOf(asked: CreateJob, document_ids: string[]): JobInput {
  if (asked.messages !== undefined) return { kind: "messages", document_ids, messages: asked.messages };
  if (asked.prompt !== undefined) return { kind: "prompt", document_ids, prompt: asked.prompt };
  return { kind: "questions", document_ids, questions: asked.questions ?? [asked.question ?? ""] };
}

async function readSources(tenant: string, asked: CreateJob, documents: Deps["documents"]): Promise<Source[]> {
  const given = asked.documents?.map((document, index) => ({ document, field: `documents[${index}]` })) ?? [];
  if (asked.document !== undefined) given.push({ document: asked.document, field: "document" });
  return Promise.all(
    given.map(async ({ document: { id, text }, field }) => {
      if (id === undefined) return { id, text: text ?? "" };
      const info = await documents.getDocumentInfo(tenant, id);
      if (info !== null && textBytesOf(info) > limits.promptBytes) throw beyondReading(info, `${field}.id`);
      const stored = info && (await documents.getDocumentText(tenant, id));
      if (stored === null) throw documentNotFound(id, `${field}.id`);
      return { id, text: stored };
    }),
  );
}

/** Even to count its tokens it would have to be read as a whole. */
const beyondReading = (info: DocumentInfo, field: string): AppError =>
  new AppError("context_overflow", `document text of ${textBytesOf(info)} bytes`, {
    field,
    detail:
      `The text of \`${info.id}\` has ${counted(textBytesOf(info), "byte")}, and a job reads at most ` +
      `${limits.promptBytes.toLocaleString("en-US")}: split it.`,
    extra: { text_bytes: textBytesOf(info), limit_bytes: limits.promptBytes },
  });
