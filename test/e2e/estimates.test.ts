import { expect, it } from "vitest";
import { createClient } from "../../api/client/client.ts";
import { JobQuote } from "../../api/contract/quote.ts";
import { digestFile } from "../../api/state/models/file-digest.ts";
import { modelRevision } from "../../native/model-revision.ts";
import { startRealService } from "../support/real-service.ts";

const sha256 = (path: string) => digestFile(path, "sha256");
const text = "The board met. Contract AB-1234 expires on 3 May 2030. The board went home. ".repeat(100);
const asked = { document: { text }, question: "When does contract AB-1234 expire?", max_tokens: 40 };

it("a worker's measurements become quotes, predictions and receipts", { timeout: 120_000 }, async () => {
  // One sequence at once, so that of several jobs some must wait.
  await using service = await startRealService({ GNOMON_MAX_BATCH: "1" });
  const client = createClient(service.url);
  const quote = async () => {
    const response = await fetch(`${service.url}/v1/jobs/quote`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(asked),
    });
    return JobQuote.parse(await response.json());
  };

  // What a sequence takes the worker knows from its start, how fast it is only later.
  await expect.poll(quote).toMatchObject({ fits: true, workers: 1, estimated_run_seconds: null });
  const { memory } = await quote();
  expect(memory?.device_bytes).toBeGreaterThan(0);
  expect(memory?.device_bytes).toBeLessThan(memory?.capacity.device_bytes ?? 0);

  const first = await client.wait(await client.submit(asked), { pollMs: 100 });
  expect(first.engine).toEqual({
    version: expect.any(String),
    model_revision: await modelRevision(new URL("../../native/models/needle/", import.meta.url).pathname, sha256),
    device: "cpu",
    dtype: "float32",
    cache: expect.objectContaining({ kind: "shadowkv", rank: 96, sparse_budget: 960 }),
  });

  await expect.poll(async () => (await quote()).estimated_run_seconds).toBeGreaterThan(0);
  const jobs = await Promise.all(
    Array.from({ length: 4 }, () => client.submit({ ...asked, max_tokens: 400, ignore_eos: true })),
  );
  for (const job of jobs) {
    expect(job.estimated_start_at).toBeGreaterThanOrEqual(Math.floor(job.created_at) - 60);
    expect(job.estimated_finish_at).toBeGreaterThanOrEqual(job.estimated_start_at ?? Number.POSITIVE_INFINITY);
  }
  await Promise.all(jobs.map((job) => client.wait(job, { pollMs: 100 })));
});
