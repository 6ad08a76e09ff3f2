import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { CreateBucketCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { expect, test } from "vitest";
import { createS3Client } from "../../api/state/aws/clients.ts";
import { motoMissing, startMoto } from "../support/moto.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const MODEL = path("../../native/models/needle");

test.skipIf(motoMissing !== null)(
  `a worker's parts start with a model that lies in S3, and the second time from the cache${motoMissing ?? ""}`,
  { timeout: 240_000 },
  async () => {
    await using directory = await temporaryDirectory();
    const moto = await startMoto();
    const client = createS3Client({ region: "us-east-1", endpoint: moto.endpoint });
    try {
      await client.send(new CreateBucketCommand({ Bucket: "models" }));
      let bytes = 0;
      for (const name of (await readdir(MODEL)).filter((name) => /\.(json|safetensors|jinja)$/.test(name))) {
        const Body = await readFile(join(MODEL, name));
        bytes += Body.length;
        await client.send(new PutObjectCommand({ Bucket: "models", Key: `needle/${name}`, Body }));
      }
      const env = {
        ...process.env,
        GNOMON_MODEL: "s3://models/needle",
        GNOMON_MODEL_CACHE: join(directory.path, "cache"),
        AWS_REGION: "us-east-1",
        GNOMON_S3_ENDPOINT: moto.endpoint,
        GNOMON_DEVICE: "cpu",
      };
      const start = async () => {
        const args = [path("../../worker/cold-start.ts"), "--tokens", "256"];
        const { stdout } = await promisify(execFile)(process.execPath, args, { env });
        return JSON.parse(stdout);
      };
      const cold = await start();
      expect(cold.model_files).toMatchObject({ bytes, fetched_bytes: bytes });
      expect(cold.first_token.prompt_tokens).toBe(256);
      expect(cold.engine_ready_after_seconds).toBeGreaterThan(cold.engine_load_seconds);
      expect((await start()).model_files).toMatchObject({ bytes, fetched_bytes: 0, bytes_per_second: null });
    } finally {
      client.destroy();
      await moto.stop();
    }
  },
);
