import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { CreateBucketCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createS3Client } from "../../../../api/state/aws/clients.ts";
import { createS3ObjectStore } from "../../../../api/state/aws/s3-object-store.ts";
import type { ObjectStore } from "../../../../api/state/object-store.ts";
import { probeObjectStore } from "../../../../api/state/probe.ts";
import { motoMissing, startMoto } from "../../../support/moto.ts";
import { describeObjectStore } from "../contract/object-store.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A store on `endpoint`, with the bucket. */
async function openBucket(endpoint: string) {
  const client = createS3Client({ region: "us-east-1", endpoint });
  await client.send(new CreateBucketCommand({ Bucket: "gnomon" }));
  return { client, store: createS3ObjectStore({ client, bucket: "gnomon", newId: randomUUID }) };
}

/** Runs `use` with a store whose requests all go to `handle`. */
async function withServer(
  handle: Handler,
  use: (store: ObjectStore) => Promise<void>,
  options: { conditionalWriteMs?: number } = {},
): Promise<void> {
  const server = createServer(handle).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = createS3Client({ region: "us-east-1", endpoint: `http://127.0.0.1:${port}` });
  try {
    await use(createS3ObjectStore({ client, bucket: "gnomon", newId: randomUUID, ...options }));
  } finally {
    client.destroy();
    server.closeAllConnections();
    server.close();
  }
}

describeObjectStore(
  "S3 object store on moto",
  async () => {
    const moto = await startMoto();
    const { client, store } = await openBucket(moto.endpoint);
    return {
      store,
      async close() {
        client.destroy();
        await moto.stop();
      },
    };
  },
  motoMissing,
);

describe.skipIf(motoMissing !== null)(motoMissing === null ? "S3 on moto" : `S3 on moto: ${motoMissing}`, () => {
  let moto: Awaited<ReturnType<typeof startMoto>>;
  let opened: Awaited<ReturnType<typeof openBucket>>;

  beforeAll(async () => {
    moto = await startMoto();
    opened = await openBucket(moto.endpoint);
  });
  afterAll(async () => {
    opened.client.destroy();
    await moto.stop();
  });

  test("passes the start-up probe and leaves nothing behind", async () => {
    await probeObjectStore(opened.store, randomUUID(), Date.now());
    expect(await opened.store.list("probe/")).toEqual([]);
  });

  test("presigned URLs read and write without credentials", async () => {
    const put = await fetch(await opened.store.presign("t/signed", "PUT", 60), { method: "PUT", body: "uploaded" });
    expect(put.status).toBe(200);
    const got = await fetch(await opened.store.presign("t/signed", "GET", 60));
    expect(await got.text()).toBe("uploaded");
  });

  test("a presigned PUT does not fix the checksum of an empty body", async () => {
    const url = new URL(await opened.store.presign("t/signed", "PUT", 60));
    expect([...url.searchParams.keys()].filter((name) => name.includes("checksum"))).toEqual([]);
    expect(url.searchParams.get("X-Amz-Expires")).toBe("60");
  });

  test("a missing bucket is a fault, not an absent object", async () => {
    const store = createS3ObjectStore({ client: opened.client, bucket: "not-there", newId: randomUUID });
    await expect(store.get("a")).rejects.toMatchObject({ code: "unavailable" });
    await expect(store.compareAndSwap("a", '"e"', new Uint8Array())).rejects.toMatchObject({ code: "unavailable" });
  });

  /** Passes requests on to moto, but loses the answer of the first conditional PUT. */
  const losingOneAnswer = (afterWrite: () => Promise<void>): Handler => {
    let lost = false;
    return (incoming, response) => {
      const target = new URL(incoming.url ?? "/", moto.endpoint);
      const outgoing = request(target, { method: incoming.method, headers: incoming.headers }, (answer) => {
        if (!lost && incoming.method === "PUT") {
          lost = true;
          void afterWrite().finally(() => incoming.socket.destroy());
          return;
        }
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      });
      incoming.pipe(outgoing);
    };
  };

  test("a write whose answer was lost is known as its own", async () => {
    const etag = await opened.store.put("t/ambiguous", Buffer.from("1"));
    await withServer(
      losingOneAnswer(async () => {}),
      async (store) => {
        const swapped = await store.compareAndSwap("t/ambiguous", etag, Buffer.from("2"));
        expect(swapped).toBe((await opened.store.get("t/ambiguous"))?.etag);
      },
    );
    await withServer(
      losingOneAnswer(async () => {}),
      async (store) => {
        expect(await store.putIfAbsent("t/ambiguous-new", Buffer.from("1"))).not.toBeNull();
      },
    );
  });

  test("a write whose answer was lost and that was replaced since counts as lost", async () => {
    const etag = await opened.store.put("t/replaced", Buffer.from("1"));
    const replace = async () => {
      await opened.store.put("t/replaced", Buffer.from("other"));
    };
    await withServer(losingOneAnswer(replace), async (store) => {
      expect(await store.compareAndSwap("t/replaced", etag, Buffer.from("2"))).toBeNull();
    });
  });
});

const xmlError = (response: ServerResponse, status: number, code: string) => {
  response.writeHead(status, { "content-type": "application/xml" });
  response.end(`<Error><Code>${code}</Code><Message>m</Message></Error>`);
};

describe("S3 answers that moto never gives", () => {
  beforeAll(() => {
    process.env.AWS_ACCESS_KEY_ID ??= "test";
    process.env.AWS_SECRET_ACCESS_KEY ??= "test";
  });

  test("409 is tried again until the condition is decided", async () => {
    let requests = 0;
    const handle: Handler = (incoming, response) => {
      incoming.resume();
      requests++;
      if (requests <= 2) return xmlError(response, 409, "ConditionalRequestConflict");
      response.writeHead(200, { etag: '"done"' }).end();
    };
    await withServer(handle, async (store) => {
      expect(await store.compareAndSwap("a", '"e"', Buffer.from("b"))).toBe('"done"');
    });
    expect(requests).toBe(3);
  });

  test("a store that answers 409 for ever is unavailable", async () => {
    const handle: Handler = (incoming, response) => {
      incoming.resume();
      xmlError(response, 409, "ConditionalRequestConflict");
    };
    await withServer(handle, async (store) => {
      await expect(store.putIfAbsent("a", Buffer.from("b"))).rejects.toMatchObject({ code: "unavailable" });
    });
  });

  test("a conditional write is given up in its time, though bytes come all the while", async () => {
    const isOver = new AbortController();
    const handle: Handler = (incoming, response) => {
      incoming.resume();
      response.writeHead(500, { "content-type": "application/xml" });
      const trickle = setInterval(() => response.write(" "), 10);
      response.on("close", () => {
        clearInterval(trickle);
        isOver.abort();
      });
    };
    await withServer(
      handle,
      async (store) => {
        await expect(store.putIfAbsent("a", Buffer.from("b"))).rejects.toMatchObject({ code: "unavailable" });
        if (!isOver.signal.aborted) await once(isOver.signal, "abort");
      },
      { conditionalWriteMs: 200 },
    );
  });

  test("503 is tried again and then unavailable, with its cause", async () => {
    let requests = 0;
    const handle: Handler = (incoming, response) => {
      incoming.resume();
      requests++;
      xmlError(response, 503, "SlowDown");
    };
    await withServer(handle, async (store) => {
      const error = await store.get("a").catch((thrown) => thrown);
      expect(error).toMatchObject({ code: "unavailable", cause: { name: "SlowDown" } });
    });
    expect(requests).toBeGreaterThan(1);
  });

  test("a body that breaks off is read again, and in the end unavailable", async () => {
    let breaks = 2;
    const handle: Handler = (incoming, response) => {
      incoming.resume();
      response.writeHead(200, { etag: '"e"', "content-length": 5 }).flushHeaders();
      if (breaks-- > 0) response.write("wh", () => response.destroy());
      else response.end("whole");
    };
    await withServer(handle, async (store) => {
      expect(Buffer.from((await store.get("a"))?.body ?? []).toString()).toBe("whole");
      breaks = 2;
      expect(Buffer.from((await store.getRange("a", 0, 5)) ?? []).toString()).toBe("whole");
      breaks = Number.POSITIVE_INFINITY;
      await expect(store.get("a")).rejects.toMatchObject({ code: "unavailable" });
    });
  });

  test("a list continues over pages until its limit", async () => {
    const asked: string[] = [];
    const handle: Handler = (incoming, response) => {
      const { searchParams } = new URL(incoming.url ?? "", "http://s3");
      const page = Number(searchParams.get("continuation-token") ?? 0);
      asked.push(`${page}: ${searchParams.get("max-keys")} after ${searchParams.get("start-after")}`);
      const key = (name: string) => `<Contents><Key>${name}</Key><Size>1</Size><ETag>"e"</ETag></Contents>`;
      const next = `<NextContinuationToken>${page + 1}</NextContinuationToken>`;
      response.writeHead(200, { "content-type": "application/xml" });
      response.end(`<ListBucketResult>${key(`${page}a`)}${key(`${page}b`)}${page < 3 ? next : ""}</ListBucketResult>`);
    };
    await withServer(handle, async (store) => {
      const listed = await store.list("", { after: "0", limit: 6 });
      expect(listed.map(({ key }) => key)).toEqual(["0a", "0b", "1a", "1b", "2a", "2b"]);
      expect(asked).toEqual(["0: 6 after 0", "1: 4 after 0", "2: 2 after 0"]);
      expect(await store.list("", { limit: 5000 })).toHaveLength(8);
    });
  });

  test("a server that ignores conditions fails the start-up probe", async () => {
    const handle: Handler = (incoming, response) => {
      incoming.resume();
      response.writeHead(200, { etag: '"same"' }).end();
    };
    await withServer(handle, async (store) => {
      const error = await probeObjectStore(store, "nonce", Date.now()).catch((thrown) => thrown);
      expect(error).toMatchObject({ code: "store_unsuitable" });
      expect(error.message).toContain("put-if-absent let 8 of 8 concurrent writers create one object");
    });
  });
});
