import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { seeded } from "../support/seeded.ts";
import { startFaultProxy } from "./fault-proxy.ts";

const MESSAGES = { Messages: [{ MessageId: "1" }, { MessageId: "2" }, { MessageId: "3" }] };
const server = createServer((incoming, response) => {
  incoming.resume().once("end", () => {
    reached++;
    // Spaced as moto's JSON is, unlike JSON.stringify's.
    response.end(JSON.stringify(MESSAGES, null, 1));
  });
});
let reached = 0;
let target: string;

beforeAll(async () => {
  await once(server.listen(0, "127.0.0.1"), "listening");
  target = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

test("each kind of fault shows to the client as what it is", async () => {
  const proxy = await startFaultProxy({ target, random: seeded(3), rate: 1 });
  proxy.set(true);
  const seen = { unavailable: 0, broken: 0, cut: 0, whole: 0 };
  for (let request = 0; request < 10; request++) {
    const response = await fetch(proxy.endpoint, { method: "POST", body: "{}" }).catch(() => null);
    if (response === null) seen.broken++;
    else if (response.status === 503) seen.unavailable++;
    else
      await response.text().then(
        () => seen.whole++,
        () => seen.cut++,
      );
  }
  proxy.stop();
  // Of each of the five two: refused and lost break the connection, and slow only takes its time.
  expect(seen).toEqual({ unavailable: 2, broken: 4, cut: 2, whole: 2 });
  expect(proxy.counts).toEqual({ unavailable: 2, refused: 2, slow: 2, lost: 2, torn: 2, reordered: 0 });
  expect(reached).toBe(6);
});

test("the messages of a receive come in another order, whole", async () => {
  const proxy = await startFaultProxy({ target, random: seeded(4), rate: 0 });
  proxy.set(true);
  const headers = { "x-amz-target": "AmazonSQS.ReceiveMessage" };
  const answer = (await (
    await fetch(proxy.endpoint, { method: "POST", headers, body: "{}" })
  ).json()) as typeof MESSAGES;
  proxy.stop();
  expect(answer.Messages).not.toEqual(MESSAGES.Messages);
  expect(answer.Messages.map(({ MessageId }) => MessageId).sort()).toEqual(["1", "2", "3"]);
  expect(proxy.counts.reordered).toBe(1);
});
