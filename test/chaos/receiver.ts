import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";

const Payload = z.object({ type: z.string(), data: z.object({ id: z.string() }) });

/** A receiver of webhooks that refuses some of them once: of a second refusal the next attempt comes after minutes. */
export async function startReceiver(random: () => number) {
  /** Webhook ids by job: one delivery may come several times, under one id. */
  const ids = new Map<string, Set<string>>();
  const refused = new Set<string>();
  let received = 0;
  let isFaulty = true;
  const server = createServer((request, response) => {
    void request.toArray().then((chunks) => {
      received++;
      const webhook = String(request.headers["webhook-id"]);
      if (isFaulty && !refused.has(webhook) && random() < 0.2) {
        refused.add(webhook);
        return response.writeHead(500).end();
      }
      const { data } = Payload.parse(JSON.parse(Buffer.concat(chunks).toString()));
      const known = ids.get(data.id) ?? new Set();
      ids.set(data.id, known.add(webhook));
      return response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://localhost:${port}/hook`,
    env: {
      GNOMON_WEBHOOK_HTTP: "true",
      GNOMON_WEBHOOK_PORTS: String(port),
      GNOMON_WEBHOOK_NETWORKS: "127.0.0.0/8,::1",
    },
    ids,
    received: () => received,
    calm(): void {
      isFaulty = false;
    },
    stop(): void {
      server.close();
      server.closeAllConnections();
    },
  };
}
