import { createRoute } from "@hono/zod-openapi";
import { CreateJob, jobExample } from "../../contract/job-request.ts";
import { JobQuote } from "../../contract/quote.ts";
import { mediaTypes } from "../../http/media-types.ts";
import { createRouter, problemResponses } from "../../http/router.ts";
import { costOf } from "./describe-job.ts";
import type { JobDeps } from "./job-deps.ts";
import { measureJob } from "./resolve-job.ts";

const postQuote = createRoute({
  method: "post",
  path: "/v1/jobs/quote",
  summary: "What a job would take, before anything is queued",
  description:
    "Takes what POST /v1/jobs takes and stores none of it. The `id`, given as `quote_id` of a job, caps that job at the " +
    "tokens of the quote and keeps its price.",
  middleware: mediaTypes("application/json"),
  request: { body: { required: true, content: { "application/json": { schema: CreateJob, example: jobExample } } } },
  responses: {
    200: { description: "The quote.", content: { "application/json": { schema: JobQuote } } },
    ...problemResponses(400, 404, 409, 413, 415),
  },
});

export const quoteJobRoute = (deps: JobDeps) =>
  createRouter().openapi(postQuote, async (c) => {
    const tenant = c.get("tenant");
    const { promptTokens, maxTokens, price } = await measureJob(tenant, c.req.valid("json"), deps);
    const { quotes, active, estimates, model, now } = deps;
    const prompt = promptTokens.reduce((sum, tokens) => sum + tokens, 0);
    const completion = promptTokens.length * maxTokens;
    const quote = await quotes.put(tenant, {
      prompt_tokens: prompt,
      max_total_tokens: prompt + completion,
      price,
    });

    await active.update(false);
    const tokens = { promptTokens: prompt, completionTokens: completion };
    const { priority } = c.req.valid("json");
    const ahead = active.ahead({ tenant, createdMs: now(), priority, ...tokens });
    const memory = await estimates.memory(Math.max(...promptTokens), maxTokens);
    const bytes = ({ device, host }: { device: number; host: number }) => ({ device_bytes: device, host_bytes: host });
    return c.json(
      {
        object: "job.quote" as const,
        id: quote.id,
        model: model.id,
        expires_at: quote.expires_ms / 1000,
        prompt_tokens: prompt,
        max_tokens: maxTokens,
        max_total_tokens: quote.max_total_tokens,
        fits: memory?.fits ?? null,
        memory: memory && { ...bytes(memory.bytes), capacity: bytes(memory.capacity) },
        workers: await estimates.liveWorkers(),
        estimated_wait_seconds: await estimates.seconds(ahead),
        estimated_run_seconds: await estimates.seconds(tokens),
        max_cost:
          price &&
          costOf(
            { prompt_tokens: prompt, prompt_tokens_details: { cached_tokens: 0 }, completion_tokens: completion },
            price,
          ),
      },
      200,
    );
  });
