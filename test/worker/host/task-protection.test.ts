import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTaskProtection } from "../../../worker/host/task-protection.ts";

let agent: Server;
let agentUri: string;
let asked: { ProtectionEnabled: boolean; ExpiresInMinutes?: number }[];
let status: number;
let warned: string[];

beforeEach(async () => {
  asked = [];
  warned = [];
  status = 200;
  agent = createServer((request, response) => {
    expect(`${request.method} ${request.url}`).toBe("PUT /task-protection/v1/state");
    void text(request).then((body) => {
      asked.push(JSON.parse(body));
      response.writeHead(status).end("{}");
    });
  }).listen(0, "127.0.0.1");
  await once(agent, "listening");
  agentUri = `http://127.0.0.1:${(agent.address() as AddressInfo).port}`;
});
afterEach(() => agent.close());

const create = () => {
  const log = { warn: (_: object, message: string) => void warned.push(message) };
  return createTaskProtection({ agentUri, fetch, now: Date.now, log });
};

describe("the protection of a task from scale-in", () => {
  it("begins with the first message and ends with the last", async () => {
    const protection = create();
    const first = new AbortController();
    const second = new AbortController();
    protection.hold(once(first.signal, "abort").then(() => {}));
    protection.hold(once(second.signal, "abort").then(() => {}));
    await expect.poll(() => asked).toEqual([{ ProtectionEnabled: true, ExpiresInMinutes: 60 }]);
    first.abort();
    second.abort();
    await expect.poll(() => asked.slice(1)).toEqual([{ ProtectionEnabled: false }]);
    await protection.stop();
  });

  it("is off at the end where work begins and ends while the agent is being asked", async () => {
    const protection = create();
    protection.hold(Promise.resolve());
    await expect.poll(() => asked.at(-1)).toEqual({ ProtectionEnabled: false });
    await protection.stop();
  });

  it("is a warning where the agent refuses, and the work goes on", async () => {
    status = 400;
    const protection = create();
    protection.hold(new Promise(() => {}));
    await expect.poll(() => warned).toEqual(["task protection not set"]);
    await protection.stop();
  });
});
