import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { openEmbedded } from "../../../support/embedded-state.ts";
import { unseal } from "../../../support/sealed.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const script = fileURLToPath(new URL("../../../support/state-process.ts", import.meta.url));

/** Starts the script; `lines` is what it has printed, complete lines only. */
function start(...args: string[]) {
  const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  const ended = once(child, "close").then(([code]) => code as number | null);
  return {
    child,
    ended,
    lines: () =>
      output
        .slice(0, output.lastIndexOf("\n") + 1)
        .split("\n")
        .slice(0, -1),
  };
}

test("of four processes one creates each key, and no count is lost", async () => {
  await using directory = await temporaryDirectory();
  const { objects, close } = await openEmbedded(directory.path);
  await objects.put("counter", Buffer.from("0"));
  const processes = [1, 2, 3, 4].map(() => start(directory.path, "contend", "50"));
  expect(await Promise.all(processes.map(({ ended }) => ended))).toEqual([0, 0, 0, 0]);
  const won = processes.flatMap(({ lines }) => lines());
  expect(won.toSorted()).toEqual(Array.from({ length: 50 }, (_, i) => `keys/${i}`).toSorted());
  expect(Buffer.from((await objects.get("counter"))?.body ?? []).toString()).toBe("200");
  await close();
}, 60_000);

test("processes that create one directory together all open it", async () => {
  await using directory = await temporaryDirectory();
  const opened = await Promise.all([1, 2, 3, 4].map(() => openEmbedded(`${directory.path}/fresh`)));
  await Promise.all(opened.map(({ close }) => close()));
  const processes = [1, 2, 3].map((run) => start(`${directory.path}/by-processes`, "write", String(run)));
  await expect.poll(() => processes.every(({ lines }) => lines().length > 0)).toBe(true);
  for (const { child } of processes) child.kill("SIGKILL");
  await Promise.all(processes.map(({ ended }) => ended));
}, 60_000);

test("a killed process leaves nothing torn, loses nothing acknowledged and locks nobody out", async () => {
  await using directory = await temporaryDirectory();
  const acknowledged = { objects: [] as string[], messages: [] as string[] };
  for (const run of ["first", "second", "third"]) {
    const { child, ended, lines } = start(directory.path, "write", run);
    await expect.poll(() => lines().length).toBeGreaterThan(150);
    child.kill("SIGKILL");
    expect(await ended).toBeNull();
    for (const line of lines()) {
      const [kind, name = ""] = line.split(" ");
      acknowledged[kind === "object" ? "objects" : "messages"].push(name);
    }
  }

  const { objects, queue, close } = await openEmbedded(directory.path);
  await objects.put("after", Buffer.from("the crash"));

  for (const name of acknowledged.objects) {
    const object = await objects.get(`objects/${name}`);
    expect(object && unseal(object.body)).toBe(name);
  }
  const all = [...(await objects.list("objects/", { limit: 100_000 })), ...(await objects.list("replaced/"))];
  expect(all.length).toBeGreaterThanOrEqual(acknowledged.objects.length + 8);
  for (const { key } of all) {
    const object = await objects.get(key);
    expect(object && unseal(object.body), key).not.toBeNull();
  }

  const received = new Set<string>();
  for (;;) {
    const messages = await queue.receive({ max: 1000, waitMs: 0, visibilityMs: 60_000 });
    if (messages.length === 0) break;
    for (const { body } of messages) received.add(body);
  }
  expect(acknowledged.messages.filter((name) => !received.has(name))).toEqual([]);
  expect(acknowledged.messages.length).toBeGreaterThan(100);
  await close();
}, 90_000);
