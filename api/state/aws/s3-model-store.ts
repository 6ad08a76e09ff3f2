import { GetObjectCommand, ListObjectsV2Command, type S3Client } from "@aws-sdk/client-s3";
import { AppError } from "../../contract/errors.ts";
import { isModelFile, type ModelPart } from "../../contract/model-source.ts";
import type { Digest } from "../models/file-digest.ts";
import type { ModelFile, ModelStore } from "../models/model-download.ts";
import { isServiceError, unavailable } from "./service-error.ts";

type Options = { client: S3Client; bucket: string; prefix: string; part: ModelPart };

/** What `sha256sum * > SHA256SUMS` writes; where the prefix has one, it must name every file and be right. */
const SUMS = "SHA256SUMS";

/** The files of a model directly below a prefix in S3. */
export function createS3ModelStore({ client, bucket, prefix, part }: Options): ModelStore {
  const where = `s3://${bucket}/${prefix}`;

  async function listAll(): Promise<ModelFile[]> {
    const found: ModelFile[] = [];
    let token: string | undefined;
    do {
      const page = await client
        .send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, Delimiter: "/", ContinuationToken: token }))
        .catch((error) => {
          throw unavailable(`list of ${where}`, error);
        });
      for (const { Key = "", Size = 0, ETag = "", LastModified } of page.Contents ?? []) {
        const modifiedMs = LastModified?.getTime() ?? 0;
        found.push({ name: Key.slice(prefix.length), bytes: Size, etag: ETag, modifiedMs, digest: md5(ETag) });
      }
      token = page.NextContinuationToken;
    } while (token !== undefined);
    return found;
  }

  async function* read(file: ModelFile, start: number, end: number, signal: AbortSignal): AsyncIterable<Uint8Array> {
    if (start === end) return;
    const Range = `bytes=${start}-${end - 1}`;
    const command = new GetObjectCommand({ Bucket: bucket, Key: prefix + file.name, Range, IfMatch: file.etag });
    const object = await client.send(command, { abortSignal: signal }).catch((error) => {
      const status = isServiceError(error) ? error.$metadata.httpStatusCode : undefined;
      if (status === 412 || status === 404) {
        throw new AppError("unavailable", `${where}${file.name} was replaced while it was being read: start again`);
      }
      if (status === 403) throw unavailable(`read of ${where}${file.name}`, error);
      throw error;
    });
    // KMS and customer keys make an etag that says nothing about the content.
    if (object.ServerSideEncryption?.startsWith("aws:kms") || object.SSECustomerAlgorithm) forgetMd5(file);
    yield* object.Body as AsyncIterable<Uint8Array>;
  }

  async function sums(files: ModelFile[]): Promise<Map<string, string> | null> {
    const file = files.find(({ name }) => name === SUMS);
    if (file === undefined) return null;
    const chunks: Uint8Array[] = [];
    for await (const chunk of read(file, 0, file.bytes, new AbortController().signal)) chunks.push(chunk);
    const lines = Buffer.concat(chunks).toString().split("\n").filter(Boolean);
    return new Map(lines.map((line) => [line.slice(66), line.slice(0, 64).toLowerCase()]));
  }

  return {
    async list() {
      const all = await listAll();
      const files = all.filter(({ name }) => isModelFile(name, part));
      if (!files.some(({ name }) => name === "config.json")) {
        throw new AppError("invalid_model", `${where} has no config.json: is it the folder of a Hugging Face model?`);
      }
      const known = await sums(all);
      if (known === null) return files;
      return files.map((file) => {
        const hex = known.get(file.name);
        if (hex === undefined) throw new AppError("invalid_model", `${where}${SUMS} does not name ${file.name}`);
        return { ...file, digest: { algorithm: "sha256", hex } as const };
      });
    },
    read,
  };
}

/** The etag of what was uploaded in one piece is its MD5. */
function md5(etag: string): Digest | null {
  const hex = /^"([0-9a-f]{32})"$/.exec(etag)?.[1];
  return hex === undefined ? null : { algorithm: "md5", hex };
}

function forgetMd5(file: ModelFile): void {
  if (file.digest?.algorithm === "md5") file.digest = null;
}
