import { createRoute } from "@hono/zod-openapi";
import type { BatchState } from "../../contract/batch.ts";
import { Batch, CreateBatch } from "../../contract/batch-resource.ts";
import { AppError } from "../../contract/errors.ts";
import type { FileInfo } from "../../contract/file.ts";
import { isTerminal, type JobState } from "../../contract/job.ts";
import type { JobRequest } from "../../contract/job-request.ts";
import { limits } from "../../contract/limits.ts";
import { Sampling } from "../../contract/sampling.ts";
import { mediaTypes } from "../../http/media-types.ts";
import { createRouter, problemResponses } from "../../http/router.ts";
import { newBatch } from "../../state/batches/batch-record.ts";
import { fileNotFound } from "../files/describe-file.ts";
import { admitJob } from "../jobs/admit-job.ts";
import { IdempotencyHeaders, parseIdempotencyKey } from "../jobs/idempotency-key.ts";
import type { BatchDeps } from "./batch-deps.ts";
import { describeBatch, readBatch } from "./describe-batch.ts";

const postBatch = createRoute({
  method: "post",
  path: "/v1/batches",
  summary: "Run the requests of a file",
  description:
    "As with OpenAI's API. Every line is validated before any runs, with the exact number of tokens of its prompt, and " +
    "`errors` names the lines that are not valid. A request that the model cannot answer (`context_overflow`, " +
    "`invalid_request`) fails its own line, which then is in the error file, and the others run. A file that is not the " +
    "input of a batch (lines that are no JSON, of another model, url or method, or with the same `custom_id`) fails the " +
    "whole batch. With an Idempotency-Key the request can be sent again without making another batch.",
  middleware: mediaTypes("application/json"),
  request: {
    headers: IdempotencyHeaders,
    body: { required: true, content: { "application/json": { schema: CreateBatch } } },
  },
  responses: {
    200: { description: "The batch, to be validated.", content: { "application/json": { schema: Batch } } },
    ...problemResponses(400, 404, 409, 413, 415, 422, 429),
  },
});

/** Of a text of so many bytes, before anything is tokenised: it counts against the quota until the lines are. */
const tokensOf = (bytes: number): number => Math.max(1, Math.ceil(bytes / 4));

export const createBatchRoute = (deps: BatchDeps) => {
  const { files, batches, batchEnd, jobs, model, price, newId, checkWebhook } = deps;

  /** Throws what is wrong with it. */
  async function readInput(tenant: string, id: string): Promise<FileInfo> {
    const file = await files.get(tenant, id);
    if (file === null) throw fileNotFound(id, "input_file_id");
    if (file.purpose === "batch") return file;
    throw new AppError("invalid_request", `file ${id} has the purpose ${file.purpose}`, {
      field: "input_file_id",
      detail: `File \`${id}\` has the purpose \`${file.purpose}\`: upload one with \`batch\`.`,
    });
  }

  return createRouter().openapi(postBatch, async (c) => {
    const tenant = c.get("tenant");
    const asked = c.req.valid("json");
    const { hash, fingerprint } = parseIdempotencyKey(c.req.valid("header")["idempotency-key"], asked);
    const earlier = hash === null ? null : await jobs.findByKey(tenant, hash, fingerprint);
    if (earlier?.batch) return c.json(await describeBatch(await madeOf(earlier, earlier.batch.id), deps), 200);

    const file = await readInput(tenant, asked.input_file_id);
    if (asked.webhook) await checkWebhook(tenant, asked.webhook.url);
    const id = `batch_${newId()}`;
    if (!(await batches.keepInput(tenant, id, file.id))) throw fileNotFound(file.id, "input_file_id");
    const request = checkRequest(id, file);
    const checkId = `job_${newId()}`;
    await batches.parts.open({ tenant, id }, { shard: null, job: checkId });
    const { state: job, replayed } = await admitJob(
      c,
      request,
      deps,
      (job) => jobs.submit(tenant, request, { fingerprint, ...job }),
      checkId,
    ).catch(async (error) => {
      // Where only the answer was lost there is a job, and whoever asks again gets its batch.
      if (error instanceof AppError && error.code !== "unavailable") await batches.discard(tenant, id);
      throw error;
    });
    if (replayed) await batches.discard(tenant, id);
    return c.json(await describeBatch(await madeOf(job, job.batch?.id ?? id), deps), 200);

    /** The batch of this job: made now, unless it has been already. An earlier try may have broken off between the two. */
    async function madeOf(job: JobState, id: string): Promise<BatchState> {
      const made = await batches.get(tenant, id);
      if (made !== null) return made;
      // It had its batch, which is removed by now.
      if (job.status === "succeeded") return readBatch(batches, tenant, id);
      await batches.create(newBatch({ id, tenant, asked, model: model.id, price, nowMs: job.created_ms }));
      // A worker may have given up on a batch that was so long in coming.
      const checked = await jobs.get(tenant, job.id);
      if (checked !== null && isTerminal(checked.status)) await batchEnd.jobEnded(checked);
      return readBatch(batches, tenant, id);
    }

    /** The job that validates the lines. It goes first: its client waits to hear what is wrong with them. */
    function checkRequest(batch: string, { bytes }: FileInfo): JobRequest {
      return {
        model: model.id,
        input: { kind: "batch", document_ids: [], batch },
        prompt_tokens: [tokensOf(bytes)],
        max_tokens: 1,
        ...Sampling.parse({}),
        priority: "high",
        deliver_by_ms: null,
        ttl_ms: limits.batchWindowMs,
        metadata: {},
        webhook: null,
        price,
        quote_id: null,
        retry_of: null,
        idempotency_hash: hash,
      };
    }
  });
};
