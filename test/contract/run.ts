// `npm run test:contract`: OpenAI's own client, and property-based requests held against the OpenAPI that is served,
// against the running service.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createApiKeyStore } from "../../api/state/api-key-store.ts";
import { startService } from "../../infra/local/service.ts";
import { openEmbedded } from "../support/embedded-state.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const SCHEMATHESIS = here("../../.build/venv-contract/bin/schemathesis");

/**
 * A chat is answered after all that was queued before it. One that is asked for 60,000 tokens and samples its way past
 * every end takes five minutes by itself on two cores.
 */
const REQUEST_SECONDS = "1200";

const { values } = parseArgs({
  options: {
    "max-seconds": { type: "string", default: "240" },
    examples: { type: "string", default: "25" },
    seed: { type: "string" },
  },
});

async function makeKey(directory: string): Promise<string> {
  const state = await openEmbedded(directory);
  const apiKeys = createApiKeyStore({ objects: state.objects, now: Date.now });
  const { key } = await apiKeys.create({ tenant: "contract", name: "", scopes: ["admin", "metrics"], expiresMs: null });
  await state.close();
  return key;
}

/** Only what it sends and how it is answered counts; where it keeps its own notes does not. */
async function schemathesis(url: string, key: string, directory: string): Promise<number> {
  const args = [
    ...["--config-file", here("schemathesis.toml"), "run", `${url}/openapi.json`],
    ...["--header", `Authorization: Bearer ${key}`, "--max-time", values["max-seconds"]],
    ...["--max-examples", values.examples, "--request-timeout", REQUEST_SECONDS, "--suppress-health-check", "all"],
    ...["--continue-on-failure", "--workers", "1", ...(values.seed === undefined ? [] : ["--seed", values.seed])],
  ];
  const env = {
    ...process.env,
    PYTHONPATH: here("."),
    PYTHONDONTWRITEBYTECODE: "1",
    SCHEMATHESIS_HOOKS: "schemathesis_hooks",
  };
  const child = spawn(SCHEMATHESIS, args, { cwd: directory, env, stdio: "inherit" });
  const [status] = await once(child, "close");
  return status ?? 1;
}

async function openAiClient(url: string, key: string): Promise<number> {
  const args = [here("../../node_modules/vitest/vitest.mjs"), "run", "test/contract"];
  const env = { ...process.env, GNOMON_URL: url, GNOMON_API_KEY: key };
  const child = spawn(process.execPath, args, { cwd: here("../.."), env, stdio: "inherit" });
  const [status] = await once(child, "close");
  return status ?? 1;
}

async function main(): Promise<number> {
  if (!existsSync(SCHEMATHESIS))
    throw new Error("schemathesis is not installed, as PyPI was out of reach: run it again");
  const directory = await mkdtemp(join(tmpdir(), "gnomon-contract-"));
  const lines: string[] = [];
  try {
    const key = await makeKey(directory);
    const service = await startService({
      env: {
        ...process.env,
        GNOMON_STATE: "embedded",
        GNOMON_STATE_DIR: directory,
        GNOMON_HOST: "127.0.0.1",
        GNOMON_PORT: "0",
      },
      onLine: (_, line) => void lines.push(line),
      signal: AbortSignal.timeout(180_000),
    });
    try {
      const statuses = [await openAiClient(service.url, key), await schemathesis(service.url, key, directory)];
      return Math.max(...statuses);
    } finally {
      await service.stop();
      const failed = lines.filter((line) => line.includes('"request failed"'));
      if (failed.length > 0)
        console.error(["What the service logged:", ...failed.slice(-10).map((line) => line.slice(0, 500))].join("\n"));
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

process.exitCode = await main();
