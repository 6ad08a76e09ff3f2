import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { CreateBucketCommand, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createS3Client } from "../../../../api/state/aws/clients.ts";
import { createS3ModelStore } from "../../../../api/state/aws/s3-model-store.ts";
import { openModel } from "../../../../api/state/models/open-model.ts";
import { motoMissing, startMoto } from "../../../support/moto.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const weights = randomBytes(20 * 1024 * 1024 + 5);
const sha256 = (body: Uint8Array) => createHash("sha256").update(body).digest("hex");
const silent = { info() {} };

/** Passes requests on to `endpoint`. Of every range of more than a MiB it hands over the first half and cuts the line. */
async function startCuttingProxy(endpoint: string): Promise<{ server: Server; url: string; cuts: () => number }> {
  const seen = new Set<string>();
  const server = createServer((incoming, outgoing) => {
    const { method, url = "", headers } = incoming;
    const forwarded = request(new URL(url, endpoint), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      const chunks: Buffer[] = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("end", () => {
        const body = Buffer.concat(chunks);
        const range = headers.range === undefined ? "" : `${url} ${headers.range}`;
        if (range === "" || body.length < 1_048_576 || seen.has(range)) return void outgoing.end(body);
        seen.add(range);
        outgoing.write(body.subarray(0, body.length / 2));
        setTimeout(() => outgoing.destroy(), 50);
      });
    });
    incoming.pipe(forwarded);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { server, url: `http://127.0.0.1:${port}`, cuts: () => seen.size };
}

describe.skipIf(motoMissing !== null)(
  motoMissing === null ? "a model in S3 on moto" : `a model in S3: ${motoMissing}`,
  () => {
    let moto: Awaited<ReturnType<typeof startMoto>>;
    let client: S3Client;
    let cache: string;
    const put = (Key: string, Body: Uint8Array | string) =>
      client.send(new PutObjectCommand({ Bucket: "models", Key, Body }));
    const storeOf = (prefix: string, part: "tokenizer" | "all" = "all") =>
      createS3ModelStore({ client, bucket: "models", prefix, part });
    const env = (name: string, endpoint = moto.endpoint) => ({
      GNOMON_MODEL: `s3://models/${name}`,
      GNOMON_MODEL_CACHE: cache,
      AWS_REGION: "us-east-1",
      GNOMON_S3_ENDPOINT: endpoint,
    });

    beforeAll(async () => {
      moto = await startMoto();
      client = createS3Client({ region: "us-east-1", endpoint: moto.endpoint });
      await client.send(new CreateBucketCommand({ Bucket: "models" }));
      await put("llama/config.json", "{}");
      await put("llama/tokenizer.json", "{}");
      await put("llama/model.safetensors.index.json", "{}");
      await put("llama/model.safetensors", weights);
      await put("llama/pytorch_model.bin", "another format");
      await put("llama/original/params.json", "{}");
    });
    beforeEach(async () => {
      const directory = await temporaryDirectory();
      cache = join(directory.path, "cache");
      return () => directory[Symbol.asyncDispose]();
    });
    afterAll(async () => {
      client?.destroy();
      await moto?.stop();
    });

    const names = async (part: "tokenizer" | "all") =>
      (await storeOf("llama/", part).list()).map(({ name }) => name).sort();

    test("of a checkpoint, a worker takes what it loads and an api what it counts tokens with", async () => {
      expect(await names("all")).toEqual([
        "config.json",
        "model.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
      ]);
      expect(await names("tokenizer")).toEqual(["config.json", "tokenizer.json"]);
    });

    test("a model arrives whole though every line is cut in the middle", async () => {
      const proxy = await startCuttingProxy(moto.endpoint);
      try {
        const { folder, fetchedBytes } = await openModel(env("llama", proxy.url), {
          part: "all",
          now: Date.now,
          log: silent,
        });
        expect(proxy.cuts()).toBeGreaterThanOrEqual(6);
        expect(fetchedBytes).toBe(weights.length + 6);
        expect(sha256(await readFile(join(folder, "model.safetensors")))).toBe(sha256(weights));
      } finally {
        proxy.server.closeAllConnections();
        proxy.server.close();
      }
    });

    test("an object that was replaced since the listing is not mixed with the old one", async () => {
      await put("changing/config.json", "{}");
      const store = storeOf("changing/");
      const [listed] = await store.list();
      await put("changing/config.json", "[]");
      const read = async () => {
        for await (const _ of store.read(listed!, 0, 2, new AbortController().signal));
      };
      await expect(read()).rejects.toThrow(/config.json was replaced while it was being read/);
    });

    test("what SHA256SUMS says is what is checked", async () => {
      await put("summed/config.json", "{}");
      await put("summed/SHA256SUMS", `${sha256(Buffer.from("[]"))}  config.json\n`);
      const open = () => openModel(env("summed/"), { part: "all", now: Date.now, log: silent });
      await expect(open()).rejects.toThrow(/config.json has sha256 44136fa3/);
      await put("summed/SHA256SUMS", `${sha256(Buffer.from("{}"))} *config.json\n`);
      expect((await open()).fetchedBytes).toBe(2);
      await put("summed/tokenizer.json", "{}");
      await expect(open()).rejects.toThrow(/SHA256SUMS does not name tokenizer.json/);
    });

    test("a prefix without a model, and a bucket that is not there, are named", async () => {
      const open = (name: string) => openModel({ ...env(name) }, { part: "all", now: Date.now, log: silent });
      await expect(open("nothing")).rejects.toThrow("s3://models/nothing/ has no config.json");
      const elsewhere = { ...env("x"), GNOMON_MODEL: "s3://no-such-bucket/x" };
      await expect(openModel(elsewhere, { part: "all", now: Date.now, log: silent })).rejects.toThrow(
        /list of s3:\/\/no-such-bucket\/x\/: NoSuchBucket/,
      );
    });
  },
);
