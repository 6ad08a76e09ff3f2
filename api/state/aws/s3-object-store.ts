import { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type PutObjectCommandInput,
  type S3Client,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { AppError } from "../../contract/errors.ts";
import { limits } from "../../contract/limits.ts";
import { assertKey } from "../object-key.ts";
import type { Etag, ObjectInfo, ObjectStore } from "../object-store.ts";
import { putStepsInTurn } from "../put-steps.ts";
import { isServiceError, type ServiceError, unavailable } from "./service-error.ts";

/** Answers 409 (another conditional write in progress) in a row before the store is called unavailable. */
const maxConflicts = 8;
/** Reads of a body that breaks off on its way, before the store is called unavailable. */
const maxReads = 4;
/** Parts of a streamed body, and how many are on their way at once: this much of it is in memory. S3 takes 10,000 parts. */
const partBytes = 16 * 1024 * 1024;
const partsAtOnce = 2;
/** S3's page of a listing. */
const maxPage = 1000;

type Deps = {
  /** Stays the caller's to destroy. */
  client: S3Client;
  bucket: string;
  newId: () => string;
  conditionalWriteMs?: number;
};

type Condition = Pick<PutObjectCommandInput, "IfMatch" | "IfNoneMatch">;

/** Objects of one S3 bucket; conditional writes by `If-Match` and `If-None-Match`. */
export function createS3ObjectStore({
  client,
  bucket,
  newId,
  conditionalWriteMs = limits.conditionalWriteMs,
}: Deps): ObjectStore {
  const at = (key: string) => {
    assertKey(key);
    return { Bucket: bucket, Key: key };
  };

  /**
   * The etag if this call wrote the object, null if the condition did not hold. The SDK repeats a request whose answer
   * was lost, and the repetition then fails on our own write: the mark tells that write from anyone else's. Ends in
   * conditionalWriteMs: the sweeper counts on a submit that is over by then.
   */
  async function putIf(key: string, body: Uint8Array, condition: Condition): Promise<Etag | null> {
    const mark = newId();
    const command = new PutObjectCommand({ ...at(key), Body: body, Metadata: { write: mark }, ...condition });
    const abortSignal = AbortSignal.timeout(conditionalWriteMs);
    for (let conflicts = 0; ; conflicts++) {
      try {
        return etagOf(await client.send(command, { abortSignal }));
      } catch (error) {
        if (isRefusal(error)) return (error.$metadata.attempts ?? 1) > 1 ? etagIfMarked(key, mark) : null;
        if (!isStatus(error, 409) || conflicts >= maxConflicts) throw unavailable(`put of ${key}`, error);
        await delay(Math.random() * 10 * 2 ** conflicts);
      }
    }
  }

  async function etagIfMarked(key: string, mark: string): Promise<Etag | null> {
    const head = await unlessAbsent(`head of ${key}`, () => client.send(new HeadObjectCommand(at(key))));
    return head?.Metadata?.write === mark ? etagOf(head) : null;
  }

  async function put(key: string, body: Uint8Array): Promise<Etag> {
    const command = new PutObjectCommand({ ...at(key), Body: body });
    return etagOf(await client.send(command).catch(rethrow(`put of ${key}`)));
  }

  const putIfAbsent = (key: string, body: Uint8Array) => putIf(key, body, { IfNoneMatch: "*" });

  return {
    put,

    async putStream(key, body) {
      let bytes = 0;
      const counted = async function* () {
        for await (const chunk of body) {
          bytes += chunk.length;
          yield chunk;
        }
      };
      const params = { ...at(key), Body: Readable.from(counted(), { objectMode: false }) };
      try {
        const upload = new Upload({ client, params, partSize: partBytes, queueSize: partsAtOnce });
        return { etag: etagOf(await upload.done()), bytes };
      } catch (error) {
        throw error instanceof AppError ? error : unavailable(`put of ${key}`, error);
      }
    },

    putIfAbsent,

    putSteps: (steps, check) => putStepsInTurn({ put, putIfAbsent }, steps, check),

    compareAndSwap: (key, etag, body) => putIf(key, body, { IfMatch: etag }),

    get: (key) =>
      unlessAbsent(`get of ${key}`, () =>
        untilWhole(async () => {
          const object = await client.send(new GetObjectCommand(at(key)));
          return { body: await bytesOf(object), etag: etagOf(object) };
        }),
      ),

    getStream: (key) =>
      unlessAbsent(`get of ${key}`, async () => {
        const object = await client.send(new GetObjectCommand(at(key)));
        const body = object.Body?.transformToWebStream() ?? new Blob([]).stream();
        return { body, bytes: object.ContentLength ?? 0, etag: etagOf(object) };
      }),

    copy: (from, to) =>
      unlessAbsent(`copy of ${from}`, async () => {
        assertKey(from);
        const CopySource = `${bucket}/${from.split("/").map(encodeURIComponent).join("/")}`;
        const { CopyObjectResult } = await client.send(new CopyObjectCommand({ ...at(to), CopySource }));
        return etagOf(CopyObjectResult ?? {});
      }),

    getRange: (key, start, end) =>
      unlessAbsent(`get of ${key}`, async () => {
        if (end <= start) {
          await client.send(new HeadObjectCommand(at(key)));
          return new Uint8Array();
        }
        const command = new GetObjectCommand({ ...at(key), Range: `bytes=${start}-${end - 1}` });
        return untilWhole(async () => {
          const object = await client.send(command).catch((error) => {
            if (isStatus(error, 416)) return null; // The range begins behind the last byte.
            throw error;
          });
          return object === null ? new Uint8Array() : bytesOf(object);
        });
      }),

    async list(prefix, { after, limit = maxPage } = {}) {
      const found: ObjectInfo[] = [];
      let token: string | undefined;
      do {
        const page = await client
          .send(
            new ListObjectsV2Command({
              Bucket: bucket,
              Prefix: prefix,
              StartAfter: after,
              ContinuationToken: token,
              MaxKeys: Math.min(maxPage, limit - found.length),
            }),
          )
          .catch(rethrow(`list of ${prefix}`));
        for (const { Key = "", Size = 0, ETag = "" } of page.Contents ?? []) {
          found.push({ key: Key, bytes: Size, etag: ETag });
        }
        token = page.NextContinuationToken;
      } while (token !== undefined && found.length < limit);
      return found;
    },

    async delete(key) {
      await client.send(new DeleteObjectCommand(at(key))).catch(rethrow(`delete of ${key}`));
    },

    async presign(key, method, expiresSeconds) {
      const command = method === "GET" ? new GetObjectCommand(at(key)) : new PutObjectCommand(at(key));
      return getSignedUrl(client, command, { expiresIn: expiresSeconds });
    },

    async close() {},
  };
}

function etagOf({ ETag }: { ETag?: string | undefined }): Etag {
  if (ETag === undefined) throw unavailable("S3", new Error("an answer without ETag"));
  return ETag;
}

/** The SDK repeats requests, but its part ends with the header: a body that breaks off after it is ours to read again. */
async function untilWhole<T>(read: () => Promise<T>): Promise<T> {
  for (let reads = 1; ; reads++) {
    try {
      return await read();
    } catch (error) {
      if (isServiceError(error) || reads >= maxReads) throw error;
      await delay(Math.random() * 50 * 2 ** reads);
    }
  }
}

const bytesOf = async ({ Body }: { Body?: { transformToByteArray(): Promise<Uint8Array> } | undefined }) =>
  (await Body?.transformToByteArray()) ?? new Uint8Array();

const isStatus = (error: unknown, status: number): error is ServiceError =>
  isServiceError(error) && error.$metadata.httpStatusCode === status;

/** The object is absent; a missing bucket is also 404 but a fault. */
const isAbsent = (error: unknown): error is ServiceError => isStatus(error, 404) && error.name !== "NoSuchBucket";

/** The condition of a put did not hold. S3 answers 404 to `If-Match` on an absent object. */
const isRefusal = (error: unknown): error is ServiceError => isStatus(error, 412) || isAbsent(error);

const rethrow = (what: string) => (error: unknown) => {
  throw unavailable(what, error);
};

async function unlessAbsent<T>(what: string, read: () => Promise<T>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (isAbsent(error)) return null;
    throw unavailable(what, error);
  }
}
