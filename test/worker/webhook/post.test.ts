import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { parseNetwork } from "../../../api/contract/public-address.ts";
import { PUBLIC_HTTPS_ONLY, type WebhookPolicy } from "../../../api/contract/webhook-target.ts";
import { type PostDeps, post } from "../../../worker/webhook/post.ts";
import { HOSTILE_ANSWERS, HOSTILE_URLS } from "../../support/hostile-targets.ts";

const limits = { webhookTimeoutMs: 5_000, webhookResponseBytes: 64 * 1024 };
const loopback = parseNetwork("127.0.0.0/8");

/** A receiver on loopback, and the policy of a deployment that allows it. */
async function receive(listener: (...request: Parameters<RequestListener>) => unknown) {
  const server = createServer((...request) => void listener(...request));
  const sockets: Socket[] = [];
  server.on("connection", (socket) => sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const policy: WebhookPolicy = { plainHttp: true, ports: [port], networks: loopback ? [loopback] : [] };
  return {
    port,
    policy,
    url: `http://receiver.example:${port}/hook?x=1`,
    connections: () => sockets.length,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

const send = (url: string, deps: Partial<PostDeps> = {}, body = "{}") =>
  post(
    { url, headers: { "content-type": "application/json", "webhook-id": "evt_1" }, body },
    { policy: PUBLIC_HTTPS_ONLY, resolve: async () => ["127.0.0.1"], limits, ...deps },
  );

describe("a target that is not public", () => {
  it.each(HOSTILE_URLS)("is not sent to: %s", async (url) => {
    const asked: string[] = [];
    const resolve = async (name: string) => {
      asked.push(name);
      return ["93.184.216.34"];
    };
    expect((await send(url, { resolve })).error?.code).toBe("target_refused");
    expect(asked).toEqual([]);
  });

  it.each(HOSTILE_ANSWERS)("is not connected to when a name resolves to %s %s", async (...answers) => {
    await using receiver = await receive((_, response) => response.end());
    const policy = { plainHttp: true, ports: [receiver.port], networks: [] };
    const outcome = await send(receiver.url, { policy, resolve: async () => answers.filter((a) => a !== undefined) });
    expect(outcome.error?.code).toBe("target_refused");
    expect(outcome.error?.message).not.toContain("127");
    expect(receiver.connections()).toBe(0);
  });

  it("stays out of reach for a name that answers differently the second time", async () => {
    await using receiver = await receive((_, response) => response.end());
    const policy = { plainHttp: true, ports: [receiver.port], networks: [] };
    let lookups = 0;
    // A test network that nobody answers in: what matters is that loopback is never asked for.
    const resolve = async () => (lookups++ === 0 ? ["93.184.216.34"] : ["127.0.0.1"]);
    await send(receiver.url, { policy, resolve, limits: { ...limits, webhookTimeoutMs: 200 } });
    expect(lookups).toBe(1);
    expect(receiver.connections()).toBe(0);
  });

  it("is not reached by a redirect", async () => {
    let requests = 0;
    await using receiver = await receive((_, response) => {
      requests++;
      response.writeHead(307, { location: "http://127.0.0.1/inside" }).end();
    });
    expect(await send(receiver.url, receiver)).toMatchObject({ status: 307, error: null });
    expect(requests).toBe(1);
  });
});

describe("a receiver", () => {
  it("gets the bytes and headers, under the name it was given", async () => {
    const got: { method?: string; url?: string; host?: string; id?: unknown; body: string }[] = [];
    await using receiver = await receive(async (request, response) => {
      const chunks = await request.toArray();
      const { method = "", url = "", headers } = request;
      got.push({
        method,
        url,
        host: headers.host ?? "",
        id: headers["webhook-id"],
        body: Buffer.concat(chunks).toString(),
      });
      response.writeHead(204, { "retry-after": "7" }).end();
    });
    const body = '{"text":"Süß"}';
    expect(await send(receiver.url, receiver, body)).toEqual({ status: 204, retryAfter: "7", error: null });
    const host = `receiver.example:${receiver.port}`;
    expect(got).toEqual([{ method: "POST", url: "/hook?x=1", host, id: "evt_1", body }]);
  });

  it("is reached by the address of its URL too", async () => {
    await using receiver = await receive((_, response) => response.end());
    const outcome = await send(`http://127.0.0.1:${receiver.port}/`, receiver);
    expect(outcome.status).toBe(200);
  });

  it("counts as answered although its answer never ends", async () => {
    await using receiver = await receive((_, response) => {
      const chunk = Buffer.alloc(16 * 1024);
      const pump = () => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on("drain", pump);
      pump();
    });
    expect((await send(receiver.url, receiver)).status).toBe(200);
  });

  it("is left alone when it does not answer in time", async () => {
    await using receiver = await receive(() => {});
    const outcome = await send(receiver.url, { ...receiver, limits: { ...limits, webhookTimeoutMs: 100 } });
    expect(outcome.error?.code).toBe("timed_out");
  });

  it("is left alone when it answers a byte at a time", async () => {
    const server = createTcpServer((socket) => {
      socket.on("error", () => {});
      socket.write("HTTP/1.1 200 OK\r\n");
      const drip = setInterval(() => socket.write("x"), 20);
      socket.on("close", () => clearInterval(drip));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const policy = { plainHttp: true, ports: [port], networks: loopback ? [loopback] : [] };
    const outcome = await send(`http://a.example:${port}/`, { policy, limits: { ...limits, webhookTimeoutMs: 150 } });
    expect(outcome.error?.code).toBe("timed_out");
    server.close();
  });

  it("is not reached when it speaks no HTTP, sends endless headers or hangs up", async () => {
    for (const answer of ["SSH-2.0-x\r\n", `HTTP/1.1 200 OK\r\nx: ${"y".repeat(64 * 1024)}\r\n\r\n`, ""]) {
      const server = createTcpServer((socket) => {
        socket.on("error", () => {});
        socket.end(answer);
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as AddressInfo;
      const policy = { plainHttp: true, ports: [port], networks: loopback ? [loopback] : [] };
      expect((await send(`http://a.example:${port}/`, { policy })).error?.code).toBe("connection_failed");
      server.close();
    }
  });

  it("has no address when its name has none, or takes too long to look up", async () => {
    const resolve = async () => Promise.reject(new Error("ENOTFOUND"));
    expect((await send("https://nowhere.example/", { resolve })).error?.code).toBe("name_not_resolved");
    const hang = { resolve: () => new Promise<string[]>(() => {}), limits: { ...limits, webhookTimeoutMs: 50 } };
    expect((await send("https://nowhere.example/", hang)).error?.code).toBe("timed_out");
  });
});
