import { describe, expect, it } from "vitest";
import { limits } from "../../../api/contract/limits.ts";
import { BatchWebhookPayload, WebhookDeliveries, WebhookDelivery } from "../../../api/contract/webhook.ts";
import { chatLines, createBatch, openTestService, uploadLines } from "../../support/batch-fixtures.ts";
import { readJson } from "../../support/test-app.ts";

const webhook = { url: "https://example.com/hook" };

type Service = Awaited<ReturnType<typeof openTestService>>;

/** What the receiver of a batch's webhook would be sent. */
async function toldOf(test: Service, id: string) {
  const events = await test.state.webhooks.list("default", id);
  return events.map(({ body }) => BatchWebhookPayload.parse(JSON.parse(body)));
}

describe("the webhook of a batch", () => {
  it("is told once that it is completed, before the last of its jobs is forgotten", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, chatLines(1), { webhook });
    await test.work();
    const running = await test.begin();
    (await test.worker.sequence(0)).finish(1);
    await running.done;
    const [event, ...others] = await toldOf(test, id);
    expect(others).toEqual([]);
    expect(event).toMatchObject({
      id: `evt_${id.replace("batch_", "")}`,
      object: "event",
      type: "batch.completed",
      data: { object: "batch", id, status: "completed" },
    });
    const messages = await test.state.webhookQueue.receive({ max: 10, waitMs: 0, visibilityMs: 1_000 });
    expect(messages).toHaveLength(1);
  });

  it("is told that a dry run is completed", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, chatLines(1), { webhook, dry_run: true });
    await test.work();
    expect(await toldOf(test, id)).toMatchObject([{ type: "batch.completed" }]);
  });

  it("is told that it failed", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, ["{"], { webhook });
    await test.work();
    expect(await toldOf(test, id)).toMatchObject([{ type: "batch.failed", data: { id, status: "failed" } }]);
  });

  it("is told that it was cancelled", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, chatLines(1), { webhook });
    await test.work();
    await test.post(`/v1/batches/${id}/cancel`, "");
    expect(await toldOf(test, id)).toMatchObject([{ type: "batch.cancelled" }]);
  });

  it("is told that it expired, validated or not", async () => {
    await using test = await openTestService();
    const validated = await createBatch(test, chatLines(1), { webhook });
    await test.work();
    const waiting = await createBatch(test, chatLines(1), { webhook });
    test.state.advance(limits.batchWindowMs + 1);
    await test.state.jobs.sweep();
    for (const { id } of [validated, waiting]) {
      expect(await toldOf(test, id)).toMatchObject([{ type: "batch.expired", data: { id } }]);
    }
  });

  it("is told only what it asked for", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, ["{"], { webhook: { ...webhook, events: ["batch.completed"] } });
    await test.work();
    expect(await toldOf(test, id)).toEqual([]);
  });

  it("has its deliveries listed, and can be told again", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, ["{"], { webhook });
    await test.work();
    const path = `/v1/batches/${id}/webhooks`;
    const { data } = await readJson(WebhookDeliveries, await test.get(path));
    expect(data).toMatchObject([{ type: "batch.failed", batch_id: id, status: "pending", url: webhook.url }]);
    const again = await test.post(data[0]?.urls.replay ?? "", "");
    expect(again.status).toBe(202);
    expect(await readJson(WebhookDelivery, again)).toMatchObject({ id: data[0]?.id, status: "pending" });
  });

  it("is refused while its client still listens, where nothing would be sent", async () => {
    await using test = await openTestService();
    const { id } = await uploadLines(test, chatLines(1));
    const asked = { input_file_id: id, endpoint: "/v1/chat/completions", completion_window: "24h" };
    const refused = await test.post("/v1/batches", { ...asked, webhook: { url: "http://127.0.0.1/" } });
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({ field: "webhook.url" });
  });
});
