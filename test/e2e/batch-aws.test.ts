import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient } from "../../api/client/client.ts";
import { isBatchOver } from "../../api/contract/batch.ts";
import { BatchOutputLine } from "../../api/contract/batch-line.ts";
import type { Batch } from "../../api/contract/batch-resource.ts";
import { awsBackend } from "../chaos/backend.ts";
import { motoMissing } from "../support/moto.ts";
import { startRealService } from "../support/real-service.ts";

const PATIENCE_MS = 120_000;

const line = (number: number, body: object = {}) => ({
  custom_id: `line-${number}`,
  method: "POST",
  url: "/v1/chat/completions",
  body: {
    model: "needle",
    messages: [
      { role: "user", content: `Contract AB-${1000 + number} expires on 3 May 2030.\n\nWhen does it expire?` },
    ],
    max_tokens: 16,
    ...body,
  },
});

describe.skipIf(motoMissing !== null)(`a batch on S3 and SQS over the wire${motoMissing ?? ""}`, () => {
  let backend: Awaited<ReturnType<typeof awsBackend>>;
  let service: Awaited<ReturnType<typeof startRealService>>;
  let client: ReturnType<typeof createClient>;
  beforeAll(async () => {
    // Of its faults there are none.
    backend = await awsBackend(() => 1, 0);
    service = await startRealService(backend.env);
    client = createClient(service.url);
  }, PATIENCE_MS);
  afterAll(async () => {
    await service?.[Symbol.asyncDispose]();
    await backend?.stop();
  });

  async function start(lines: readonly object[]): Promise<Batch> {
    const content = new Blob(lines.map((each) => `${JSON.stringify(each)}\n`));
    const { id } = await client.batches.upload(new File([content], "in.jsonl"));
    return client.batches.create({ input_file_id: id, endpoint: "/v1/chat/completions", completion_window: "24h" });
  }

  async function until(id: string, isThere: (batch: Batch) => boolean): Promise<Batch> {
    for (;;) {
      const batch = await client.batches.get(id);
      if (isThere(batch)) return batch;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  const isOver = ({ status }: Batch): boolean => isBatchOver(status);

  async function idsOf(file: string | undefined): Promise<string[]> {
    if (file === undefined) return [];
    const text = await (await fetch(`${service.url}/v1/files/${file}/content`)).text();
    return text
      .trimEnd()
      .split("\n")
      .map((each) => BatchOutputLine.parse(JSON.parse(each)).custom_id)
      .toSorted();
  }

  it("is validated and answered, but for the line that is not valid", { timeout: PATIENCE_MS }, async () => {
    const { id } = await start([line(1), line(2, { n: 2 }), line(3)]);
    const batch = await until(id, isOver);
    expect(batch).toMatchObject({
      status: "completed",
      errors: { data: [{ code: "invalid_request", line: 2 }] },
      request_counts: { total: 3, completed: 2, failed: 1 },
    });
    expect(await idsOf(batch.output_file_id)).toEqual(["line-1", "line-3"]);
    expect(await idsOf(batch.error_file_id)).toEqual(["line-2"]);
  });

  it("is cancelled while it runs, and has a result for every line", { timeout: PATIENCE_MS }, async () => {
    const lines = Array.from({ length: 300 }, (_, index) => line(index));
    const { id } = await start(lines);
    await until(id, ({ request_counts: { completed } }) => completed > 0);
    await client.batches.cancel(id);
    const batch = await until(id, isOver);
    const { completed, failed } = batch.request_counts;
    expect(batch).toMatchObject({ status: "cancelled", request_counts: { total: lines.length } });
    expect(completed).toBeGreaterThan(0);
    const [answered, unanswered] = [await idsOf(batch.output_file_id), await idsOf(batch.error_file_id)];
    expect([answered.length, unanswered.length]).toEqual([completed, failed]);
    expect([...answered, ...unanswered].toSorted()).toEqual(lines.map(({ custom_id }) => custom_id).toSorted());
  });
});
