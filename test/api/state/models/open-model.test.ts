import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openModel } from "../../../../api/state/models/open-model.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const deps = { part: "all", now: Date.now, log: { info: () => {} } } as const;
const open = (model: string) =>
  openModel(
    { GNOMON_MODEL: model, GNOMON_MODEL_CACHE: "", AWS_REGION: undefined, GNOMON_S3_ENDPOINT: undefined },
    deps,
  );

it("a model in a folder is where it is", async () => {
  await using directory = await temporaryDirectory();
  await writeFile(join(directory.path, "config.json"), "{}");
  expect(await open(directory.path)).toMatchObject({ folder: directory.path, fetchedBytes: 0 });
});

it.each([
  ["that is not there", "missing"],
  ["without a config.json", "empty"],
])("a folder %s is refused by its variable, with what to name instead", async (_, name) => {
  await using directory = await temporaryDirectory();
  await mkdir(join(directory.path, "empty"));
  await expect(open(join(directory.path, name))).rejects.toMatchObject({
    code: "invalid_environment",
    message: expect.stringMatching(
      /^GNOMON_MODEL: no config\.json .*\(ENOENT\): name the folder of a Hugging Face model/,
    ),
  });
});
