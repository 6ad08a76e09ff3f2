import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadEngine } from "../../native/index.ts";
import { inspectModel, supportedArchitectures } from "../../native/inspect.ts";
import { NEEDLE_DIR } from "./support/needle.ts";

const golden = (name: string) => fileURLToPath(new URL(`goldens/${name}`, import.meta.url));

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "gnomon-inspect-"));
});
afterAll(() => rm(scratch, { recursive: true }));

describe("inspectModel", () => {
  test("says what a directory holds", async () => {
    const phi = await inspectModel({ modelDir: golden("phi-3") }, 16);
    expect(phi).toMatchObject({ architecture: "Phi3ForCausalLM", ropeScaling: "longrope", rotaryDim: 96 });
    const glm = await inspectModel({ modelDir: golden("chatglm") }, 16);
    expect(glm).toMatchObject({ architecture: "ChatGLMModel", rotaryDim: 32, qkvBias: true, ropeTheta: 100_000 });
    for (const { architecture } of [phi, glm]) expect(supportedArchitectures()).toContain(architecture);
  });

  test("finds the longest prompt that the engine then admits, and names what limits it", async () => {
    const { shadowkv, full } = await inspectModel({ modelDir: NEEDLE_DIR }, 64);
    expect(full).toMatchObject({ promptTokens: 65_536 - 64, limit: expect.stringContaining("65536 positions") });

    const memory = { deviceBytes: 300_000_000 };
    const tight = await inspectModel({ modelDir: NEEDLE_DIR, memory }, 64);
    expect(tight.full.promptTokens).toBeLessThan(shadowkv.promptTokens);
    expect(tight.full.promptTokens).toBeGreaterThan(0);
    expect(tight.full.limit).toContain("MiB");
    expect(tight.full.cache.device).toBeLessThan(memory.deviceBytes);

    const engine = await loadEngine({ modelDir: NEEDLE_DIR, memory, cache: { kind: "full" } });
    const { promptTokens } = tight.full;
    expect(engine.plan({ promptTokens, maxNewTokens: 64 }).fits).toBe(true);
    await engine.close();
  });

  test("refuses what loading refuses: an unknown architecture by name, a missing tensor by name", async () => {
    await writeFile(join(scratch, "config.json"), '{"architectures": ["GemmaForCausalLM"]}');
    await expect(inspectModel({ modelDir: scratch }, 16)).rejects.toMatchObject({
      code: "invalid_model",
      message: expect.stringContaining('"GemmaForCausalLM" is not supported; these are: LlamaForCausalLM'),
    });
  });
});
