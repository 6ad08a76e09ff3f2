import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { parseNetwork } from "../../../api/contract/public-address.ts";
import { createJobStore } from "../../../api/state/jobs/job-store.ts";
import { openState } from "../../../api/state/open-state.ts";
import { createWebhookKeyrings } from "../../../api/state/webhooks/webhook-keyring.ts";
import { createWebhookStore } from "../../../api/state/webhooks/webhook-store.ts";
import { startWebhooks } from "../../../worker/webhook/start.ts";
import { awsBackend } from "../../chaos/backend.ts";
import { eventually } from "../../support/eventually.ts";
import { jobRequest } from "../../support/job-fixtures.ts";
import { motoMissing } from "../../support/moto.ts";

/** Fails the first request. */
async function openReceiver() {
  const got: { id: string; body: string; headers: Record<string, string> }[] = [];
  const server = createServer((request, response) => {
    const headers = request.headers as Record<string, string>;
    void text(request).then((body) => {
      got.push({ id: headers["webhook-id"] ?? "", body, headers });
      response.writeHead(got.length === 1 ? 503 : 204).end();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { got, port, close: () => server.close() };
}

describe.skipIf(motoMissing !== null)(`webhooks on S3 and SQS over the wire${motoMissing ?? ""}`, () => {
  it("go from the end of a job through the queue to the receiver, again after a failure", {
    timeout: 90_000,
  }, async () => {
    const backend = await awsBackend(() => 1, 0);
    const receiver = await openReceiver();
    const now = Date.now;
    const newId = () => randomUUID();
    const state = await openState(backend.direct, { now, newId });
    const webhooks = createWebhookStore({ ...state, now });
    const jobs = createJobStore({ ...state, now, newId, leaseMs: 60_000, onTerminal: webhooks.emit });
    const loopback = parseNetwork("127.0.0.0/8");
    const policy = { plainHttp: true, ports: [receiver.port], networks: loopback === null ? [] : [loopback] };
    const sender = startWebhooks({ ...state, webhooks, policy, now, newId, log: { info() {}, error() {} } });
    try {
      const webhook = { url: `http://127.0.0.1:${receiver.port}/hook`, events: ["job.cancelled" as const] };
      const { id } = (await jobs.submit("acme", { ...jobRequest, webhook })).state;
      await jobs.cancel("acme", id);
      await eventually(() => expect(receiver.got).toHaveLength(2));

      const [first, second] = receiver.got;
      expect(second?.id).toBe(first?.id);
      const [key] = await createWebhookKeyrings({ objects: state.objects, now, newId }).signingKeys("acme");
      for (const { body, headers } of receiver.got) {
        const verified = new Webhook(key?.secret ?? "").verify(body, headers);
        expect(verified).toMatchObject({ type: "job.cancelled", data: { id } });
      }
      await eventually(async () =>
        expect(await webhooks.list("acme", id)).toMatchObject([{ status: "delivered", attempt: 2 }]),
      );
    } finally {
      await sender.stop();
      receiver.close();
      await state.close();
      await backend.stop();
    }
  });
});
