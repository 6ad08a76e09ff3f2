import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApiKeyStore } from "../../../api/state/api-key-store.ts";
import { stageApp } from "../../../infra/containers/stage-app.ts";
import { openEmbedded } from "../../support/embedded-state.ts";

let folder: string;
let key: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gnomon-bundle-"));
  const state = await openEmbedded(join(folder, "state"));
  const apiKeys = createApiKeyStore({ objects: state.objects, now: Date.now });
  ({ key } = await apiKeys.create({ tenant: "acme", name: "", scopes: ["read"], expiresMs: null }));
  await state.close();
  await stageApp({ folder: join(folder, "code"), model: "native/models/needle" });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs a module in the bundle's folder, far from the repository and its node_modules. */
async function run(script: string): Promise<string> {
  const env = {
    PATH: process.env.PATH,
    GNOMON_STATE: "embedded",
    GNOMON_STATE_DIR: join(folder, "state"),
    GNOMON_LOG_LEVEL: "error",
  };
  const args = ["--input-type=module", "--eval", script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: join(folder, "code"), env });
  return stdout;
}

const EVENT = `{ version: "2.0", rawPath: PATH, rawQueryString: "", headers: { host: "h", authorization: "Bearer KEY" },
  requestContext: { domainName: "h", http: { method: "GET" } }, isBase64Encoded: false }`;

describe("the staged app", () => {
  it("is not staged without the model that it is to serve", async () => {
    for (const model of ["", "native/engine"]) {
      await expect(stageApp({ folder: join(folder, "none"), model })).rejects.toThrow("is no model");
    }
  });

  it("holds no model where that is in S3", async () => {
    const bare = join(folder, "bare");
    await stageApp({ folder: bare, model: "s3://models/llama" });
    expect((await readdir(join(bare, "native"))).filter((name) => !name.endsWith(".ts"))).toEqual(["prompt"]);
  });

  it("holds everything that the api needs, without any package beside it", async () => {
    const path = JSON.stringify("/v1/models");
    const stdout = await run(`import { handler } from "./lambda.mjs";
      console.log((await handler(${EVENT.replace("PATH", path).replace("KEY", key)})).body); process.exit(0);`);
    expect(JSON.parse(stdout).data).toMatchObject([{ id: "needle" }]);
  });

  it("publishes the backlog as a metric in a line of the log", async () => {
    const stdout = await run(`import { handler } from "./upkeep.mjs";
      await handler({}, { getRemainingTimeInMillis: () => 50_000 }); process.exit(0);`);
    const [line = ""] = stdout.split("\n");
    expect(JSON.parse(line)).toMatchObject({
      _aws: { CloudWatchMetrics: [{ Namespace: "Gnomon", Metrics: [{ Name: "BacklogGpuSeconds" }, {}, {}] }] },
      BacklogGpuSeconds: 0,
      ActiveJobs: 0,
    });
  });
});
