import { access } from "node:fs/promises";
import { join } from "node:path";
import type { ApiEnv, WorkerEnv } from "../../contract/env.ts";
import { AppError } from "../../contract/errors.ts";
import { type ModelPart, parseModelSource } from "../../contract/model-source.ts";
import { createS3Client } from "../aws/clients.ts";
import { createS3ModelStore } from "../aws/s3-model-store.ts";
import { createKnownDigests, type KnownDigests } from "./known-digests.ts";
import { type Fetched, fetchModel } from "./model-cache.ts";
import { rangesAtOnce } from "./model-download.ts";

type ModelEnv = Pick<ApiEnv & WorkerEnv, "GNOMON_MODEL" | "GNOMON_MODEL_CACHE" | "AWS_REGION" | "GNOMON_S3_ENDPOINT">;

type Deps = {
  part: ModelPart;
  now: () => number;
  log: { info(fields: object, message: string): void };
};

/**
 * The folder of the model that `env` names; from S3 it is taken first. Rejects with AppError `invalid_environment`,
 * `invalid_model`, `unavailable`.
 */
export async function openModel(env: ModelEnv, { part, now, log }: Deps): Promise<Fetched> {
  const source = parseModelSource(env.GNOMON_MODEL);
  if (source === null) throw new AppError("invalid_environment", `GNOMON_MODEL: ${env.GNOMON_MODEL} names no bucket`);
  if (source.kind === "folder") {
    await needConfig(source.folder);
    return { folder: source.folder, bytes: 0, fetchedBytes: 0, seconds: 0 };
  }

  const { bucket, prefix } = source;
  const region = env.AWS_REGION ?? "";
  const client = createS3Client({ region, endpoint: env.GNOMON_S3_ENDPOINT, connections: rangesAtOnce });
  try {
    const fetched = await fetchModel({
      store: createS3ModelStore({ client, bucket, prefix, part }),
      source: `${part === "tokenizer" ? "tokenizer of " : ""}s3://${bucket}/${prefix}`.replace(/\/$/, ""),
      cache: env.GNOMON_MODEL_CACHE,
      digests: modelDigests(env),
      now,
      onProgress: ({ bytes, totalBytes, seconds }) =>
        log.info({ bytes, total_bytes: totalBytes, seconds }, "model is being fetched"),
    });
    const { bytes, fetchedBytes, seconds } = fetched;
    log.info({ bytes, fetched_bytes: fetchedBytes, seconds }, "model is there");
    return fetched;
  } finally {
    client.destroy();
  }
}

async function needConfig(folder: string): Promise<void> {
  await access(join(folder, "config.json")).catch((error) => {
    throw new AppError(
      "invalid_environment",
      `GNOMON_MODEL: no config.json can be read in ${folder} (${error.code}): name the folder of a Hugging Face model, or one in S3 as s3://bucket/prefix`,
      { cause: error },
    );
  });
}

/** Digests of models' files, kept as long as the cache of the models is. */
export const modelDigests = ({ GNOMON_MODEL_CACHE: cache }: Pick<ModelEnv, "GNOMON_MODEL_CACHE">): KnownDigests =>
  createKnownDigests({ folder: join(cache, "sha256") });
