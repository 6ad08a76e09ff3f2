import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { inspectModel } from "../../../native/inspect.ts";
import { readModelFile } from "../../../native/prompt/model-file.ts";
import { maxPositions, PositionsConfig } from "../../../native/prompt/model-positions.ts";

const GOLDENS = new URL("../goldens/", import.meta.url);

test.each(["llama-3.1", "qwen2-yarn", "phi-3", "glm", "chatglm"])(
  "the positions of %s are those that the engine finds",
  async (name) => {
    const modelDir = fileURLToPath(new URL(name, GOLDENS));
    const config = await readModelFile(`${modelDir}/config.json`, PositionsConfig);
    const { model } = await inspectModel({ modelDir }, 16);
    expect(maxPositions(config)).toBe(model.maxPositionEmbeddings);
  },
);

test("a file without any is refused, naming the field", () => {
  const refused = PositionsConfig.safeParse({});
  expect(refused.error?.issues[0]).toMatchObject({ path: ["max_position_embeddings"], message: "is missing" });
});
