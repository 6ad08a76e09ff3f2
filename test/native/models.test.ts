import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { supportedArchitectures } from "../../native/inspect.ts";
import { NEEDLE_DIR } from "./support/needle.ts";

const file = fileURLToPath(new URL("../../native/models.ts", import.meta.url));
const golden = fileURLToPath(new URL("goldens/qwen2", import.meta.url));

const run = (...args: string[]) =>
  promisify(execFile)(process.execPath, [file, ...args]).then(
    ({ stdout }) => ({ code: 0, stdout, stderr: "" }),
    ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
  );

describe("npm run models", () => {
  it("lists every architecture, and what is published under it", async () => {
    const { code, stdout } = await run("--json");
    expect(code).toBe(0);
    const { supported_architectures: listed, model } = JSON.parse(stdout);
    expect(listed.map(({ name }: { name: string }) => name)).toEqual(supportedArchitectures());
    for (const { models } of listed) expect(models).toEqual(expect.any(String));
    expect(model).toBeUndefined();
  });

  it("says of a directory what it holds, how long a prompt fits and what limits it", async () => {
    const { code, stdout } = await run("--json", "--max-tokens", "64", NEEDLE_DIR);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).model).toMatchObject({
      directory: NEEDLE_DIR,
      supported: true,
      architecture: "LlamaForCausalLM",
      num_layers: 6,
      dtype: "float32",
      max_tokens: 64,
      longest_prompt: {
        shadowkv: { prompt_tokens: 65_536 - 64, limited_by: expect.stringContaining("65536 positions") },
        full: { prompt_tokens: expect.any(Number), limited_by: expect.any(String) },
      },
    });
  });

  it("says why a directory cannot be served: one without a tokenizer, one that is not there", async () => {
    const incomplete = await run("--json", golden);
    expect(incomplete.code).toBe(1);
    expect(JSON.parse(incomplete.stdout).model).toMatchObject({
      supported: false,
      code: "invalid_model",
      reason: expect.stringMatching(/tokenizer\.json cannot be read/),
    });
    expect((await run("--json", "/no/such/directory")).code).toBe(1);
  });

  it.each([
    [["--device", "tpu"], "--device is cpu or cuda, not tpu"],
    [["--dtype", "float16"], "--dtype is auto, bfloat16 or float32, not float16"],
    [["--max-tokens", "many"], "--max-tokens is a number from 1 on, not many"],
    [["--wrong"], "--wrong"],
    [["a", "b"], "one model directory at a time"],
  ])("refuses a command that is wrong: %j", async (args, message) => {
    const { code, stderr } = await run(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});
