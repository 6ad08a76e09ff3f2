import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** What can happen to a request on its way. `lost` and `torn` reach the server: only their answer does not arrive. */
const FAULTS = ["unavailable", "refused", "slow", "lost", "torn"] as const;
type Fault = (typeof FAULTS)[number];

type Options = { target: string; random: () => number /** Share of requests with a fault. */; rate: number };

type Answer = { status: number; headers: IncomingHttpHeaders; body: Buffer };

export type FaultProxy = Awaited<ReturnType<typeof startFaultProxy>>;

/** A proxy before an HTTP server that makes requests fail in every way a network knows, as `random` decides. */
export async function startFaultProxy({ target, random, rate }: Options) {
  const counts = Object.fromEntries([...FAULTS, "reordered"].map((fault) => [fault, 0])) as Record<
    Fault | "reordered",
    number
  >;
  let isOn = false;
  let bag: Fault[] = [];

  /** From a bag that holds each fault once, so that none stays away by chance. */
  function draw(): Fault | null {
    if (!isOn || random() >= rate) return null;
    if (bag.length === 0) bag = [...FAULTS];
    return bag.splice(Math.floor(random() * bag.length), 1)[0] ?? null;
  }

  async function handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const fault = draw();
    const body = Buffer.concat(await incoming.toArray());
    if (fault === "refused") {
      counts.refused++;
      return void incoming.socket.destroy();
    }
    if (fault === "unavailable") {
      counts.unavailable++;
      return void response.writeHead(503, { "Retry-After": "0" }).end();
    }
    if (fault === "slow") {
      counts.slow++;
      await delay(50 + random() * 1_500);
    }
    const answer = await forward(target, incoming, body);
    if (fault === "lost") {
      counts.lost++;
      return void incoming.socket.destroy();
    }
    const sent = isOn ? reorder(incoming, answer) : answer.body;
    const headers = { ...answer.headers, "content-length": sent.length };
    if (fault !== "torn") return void response.writeHead(answer.status, headers).end(sent);
    counts.torn++;
    response.writeHead(answer.status, headers).flushHeaders();
    response.write(sent.subarray(0, Math.floor(sent.length / 2)), () => incoming.socket.destroy());
  }

  /** SQS promises no order: the messages of a receive come in any. */
  function reorder({ headers }: IncomingMessage, { body }: Answer): Buffer {
    if (headers["x-amz-target"] !== "AmazonSQS.ReceiveMessage") return body;
    const parsed: { Messages?: unknown[] } = JSON.parse(body.toString());
    const messages = parsed.Messages ?? [];
    if (messages.length < 2) return body;
    counts.reordered++;
    // The first goes to the end at least, so that the order is another one whatever is drawn.
    const [first, ...rest] = messages;
    const shuffled = [...rest.sort(() => random() - 0.5), first];
    return Buffer.from(JSON.stringify({ ...parsed, Messages: shuffled }));
  }

  const server = createServer((incoming, response) => {
    handle(incoming, response).catch(() => incoming.socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    counts,
    set: (on: boolean): void => {
      isOn = on;
    },
    stop(): void {
      server.close();
      server.closeAllConnections();
    },
  };
}

function forward(target: string, { method, url, headers }: IncomingMessage, body: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = { "content-length": body.length, "transfer-encoding": undefined };
    // A signature is of the address it was made for, so the Host header stays.
    const outgoing = request(new URL(url ?? "/", target), { method, headers: clean({ ...headers, ...length }) });
    outgoing.on("error", reject);
    outgoing.on("response", (answer) => {
      answer.toArray().then((chunks) => {
        const kept = clean({ ...answer.headers, "transfer-encoding": undefined, connection: undefined });
        resolve({ status: answer.statusCode ?? 502, headers: kept, body: Buffer.concat(chunks) });
      }, reject);
    });
    outgoing.end(body);
  });
}

const clean = (headers: Record<string, unknown>): IncomingHttpHeaders =>
  Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined)) as IncomingHttpHeaders;
