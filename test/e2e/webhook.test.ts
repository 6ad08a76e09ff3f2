import { execFile } from "node:child_process";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Webhook } from "standardwebhooks";
import { describe, expect, it, vi } from "vitest";
import { createClient } from "../../api/client/client.ts";
import { WebhookDeliveries, WebhookKeys } from "../../api/contract/webhook.ts";
import { startChild } from "../../infra/local/child.ts";
import { startRealService } from "../support/real-service.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const PATIENCE_MS = 60_000;

/** A receiver that fails the first `failures` requests. */
async function openReceiver(failures: number) {
  const got: { headers: IncomingHttpHeaders; body: string }[] = [];
  const server = createServer((request, response) => {
    void request.toArray().then((chunks) => {
      got.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
      response.writeHead(got.length > failures ? 204 : 500).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    got,
    url: `http://localhost:${port}/hook`,
    env: {
      GNOMON_WEBHOOK_HTTP: "true",
      GNOMON_WEBHOOK_PORTS: String(port),
      GNOMON_WEBHOOK_NETWORKS: "127.0.0.0/8,::1",
    },
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}

describe("a job with a webhook, in real processes", () => {
  it("is told to its receiver, once more after a failure, and shown in the log", { timeout: PATIENCE_MS }, async () => {
    await using receiver = await openReceiver(1);
    await using service = await startRealService(receiver.env);
    const client = createClient(service.url);
    const job = await client.submit({
      document: { text: "Contract AB-1234 expires on 3 May 2030." },
      question: "When does contract AB-1234 expire?",
      max_tokens: 8,
      webhook: { url: receiver.url },
    });
    await vi.waitFor(() => expect(receiver.got).toHaveLength(2), { timeout: PATIENCE_MS, interval: 100 });

    const [key] = WebhookKeys.parse(await (await fetch(`${service.url}/v1/webhooks/keys`)).json()).data;
    const [first, second] = receiver.got;
    for (const { headers, body } of receiver.got) {
      const payload = new Webhook(key?.secret ?? "").verify(body, headers as Record<string, string>);
      expect(payload).toMatchObject({ type: "job.succeeded", data: { id: job.id, status: "succeeded" } });
    }
    expect(second?.headers["webhook-id"]).toBe(first?.headers["webhook-id"]);
    await vi.waitFor(async () => {
      const log = WebhookDeliveries.parse(await (await fetch(`${service.url}/v1/jobs/${job.id}/webhooks`)).json());
      expect(log.data).toMatchObject([
        { status: "delivered", attempt: 2, attempts: [{ status_code: 500 }, { status_code: 204 }] },
      ]);
    });
  });
});

describe("a process that only delivers webhooks", () => {
  it("starts without a model, shows that it is alive, and stops when it is told to", async () => {
    await using directory = await temporaryDirectory();
    const alive = join(directory.path, "alive");
    const child = startChild({
      name: "webhooks",
      file: new URL("../../worker/webhooks.ts", import.meta.url),
      env: { ...process.env, GNOMON_STATE_DIR: directory.path, GNOMON_MODEL: "/nowhere", GNOMON_LIVENESS_FILE: alive },
      onLine: () => {},
    });
    expect(await child.ready).toEqual({ state: "embedded" });
    const health = fileURLToPath(new URL("../../infra/containers/health.mjs", import.meta.url));
    await promisify(execFile)(process.execPath, [health], { env: { GNOMON_LIVENESS_FILE: alive } });
    child.kill("SIGTERM");
    expect(await child.ended).toBe("webhooks ended with status 0");
  });
});
