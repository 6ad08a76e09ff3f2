// What the README's guide says, done as it says, on a service of our own: only addresses are put in its place.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test, vi } from "vitest";
import { WebhookDeliveries } from "../../api/contract/webhook.ts";
import { commandsOf, readGuide } from "../support/guide.ts";
import { startRealService } from "../support/real-service.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const PATIENCE_MS = 120_000;
const TOP = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);

const guide = await readGuide();

function blocks(name: string, language: string) {
  const found = guide.get(name)?.filter((block) => block.language === language) ?? [];
  expect(found.length).toBeGreaterThan(0);
  return found;
}

/** Runs curl commands one after the other; `<id>` is the id in the last answer that has one. `npm start` is done already. */
async function runCommands(name: string, place: (code: string) => string): Promise<string[]> {
  const answers: string[] = [];
  let id = "";
  for (const command of blocks(name, "sh").flatMap(commandsOf)) {
    if (command.endsWith("npm start")) continue;
    const send = async () => (await run("bash", ["-c", place(command.replaceAll("<id>", id))], { cwd: TOP })).stdout;
    const until = /# until its status is (".*")$/.exec(command)?.[1];
    const stdout = until === undefined ? await send() : await sendUntil(send, until);
    answers.push(stdout);
    id = /^\{"object":"\w+","id":"([^"]+)"/.exec(stdout)?.[1] ?? id;
  }
  return answers;
}

const sendUntil = (send: () => Promise<string>, status: string): Promise<string> =>
  vi.waitFor(
    async () => {
      const answer = await send();
      expect(answer).toContain(`"status":${status}`);
      return answer;
    },
    { timeout: PATIENCE_MS, interval: 500 },
  );

/** A file at the top of the checkout, as the guide has it, that runs until it is disposed of. */
async function runFile(name: string, place: (code: string) => string) {
  const file = `${TOP}/guide-${name.toLowerCase()}.${process.pid}.ts`;
  await writeFile(file, place(blocks(name, "ts")[0]?.code ?? ""));
  const child = spawn(process.execPath, ["--no-warnings", file], { cwd: TOP, stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
  });
  const exited = once(child, "exit");
  return {
    printed: () => printed,
    exited,
    async [Symbol.asyncDispose]() {
      child.kill();
      await exited;
      await rm(file, { force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}

test("poll: by curl and by the client", { timeout: PATIENCE_MS }, async () => {
  await using service = await startRealService();
  const place = (code: string) => code.replaceAll("localhost:8080", new URL(service.url).host);
  const answers = await runCommands("Poll", place);
  expect(answers.at(-1)).toBe("Contract KD-4417 expires on 14 March 2031.");
  expect(answers.at(-2)).toContain('"status":"succeeded"');

  await using client = await runFile("Poll", place);
  expect(await client.exited).toEqual([0, null]);
  expect(client.printed()).toBe("Contract KD-4417 expires on 14 March 2031.\n");
});

test("batch: by curl and by OpenAI's client", { timeout: 2 * PATIENCE_MS }, async () => {
  await using service = await startRealService();
  await using directory = await temporaryDirectory();
  const place = (code: string) =>
    code
      .replaceAll("localhost:8080", new URL(service.url).host)
      .replaceAll("batch.jsonl", `${directory.path}/batch.jsonl`);
  const answers = await runCommands("Batch", place);
  const expected = [
    "first",
    "Contract AB-1234 expires on 3 May 2030.",
    "second",
    "Contract CD-5678 expires on 4 June 2031.",
  ];
  for (const text of expected) expect(answers.at(-1)).toContain(text);

  await using client = await runFile("Batch", place);
  expect(await client.exited).toEqual([0, null]);
  for (const text of expected) expect(client.printed()).toContain(text);
});

test("webhook: the receiver verifies it and gets the answer", { timeout: PATIENCE_MS }, async () => {
  const port = await freePort();
  const [start = ""] = blocks("Webhook", "sh").flatMap(commandsOf);
  const variables = start.replaceAll("9000", String(port)).split(" ").slice(0, -2);
  await using service = await startRealService(Object.fromEntries(variables.map((pair) => pair.split("="))));
  const place = (code: string) =>
    code.replaceAll("localhost:8080", new URL(service.url).host).replaceAll("9000", String(port));
  await using receiver = await runFile("Webhook", place);
  await vi.waitFor(
    () => expect(fetch(`http://127.0.0.1:${port}/`, { method: "POST" })).resolves.toMatchObject({ status: 400 }),
    {
      timeout: PATIENCE_MS,
    },
  );
  const answers = await runCommands("Webhook", place);
  const log = WebhookDeliveries.parse(JSON.parse(answers.at(-1) ?? ""));
  expect(log.data.length).toBeLessThanOrEqual(1);
  await vi.waitFor(() => expect(receiver.printed()).toBe("Contract AB-1234 expires on 3 May 2030.\n"), {
    timeout: PATIENCE_MS,
  });
});
