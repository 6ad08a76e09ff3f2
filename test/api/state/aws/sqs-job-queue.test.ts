import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createSqsClient } from "../../../../api/state/aws/clients.ts";
import { createSqsJobQueue } from "../../../../api/state/aws/sqs-job-queue.ts";
import { motoMissing, startMoto } from "../../../support/moto.ts";
import { describeJobQueue } from "../contract/job-queue.ts";

let moto: Awaited<ReturnType<typeof startMoto>>;
let client: SQSClient;

async function setUp() {
  moto = await startMoto();
  client = createSqsClient({ region: "us-east-1", endpoint: moto.endpoint });
}
async function tearDown() {
  client.destroy();
  await moto.stop();
}

async function createQueue(attributes: Record<string, string> = {}): Promise<string> {
  const created = await client.send(new CreateQueueCommand({ QueueName: randomUUID(), Attributes: attributes }));
  return created.QueueUrl ?? "";
}

/** A new queue that gives a message up after three deliveries, and its dead letters. */
async function createQueues() {
  const deadLetterUrl = await createQueue();
  const { Attributes } = await client.send(
    new GetQueueAttributesCommand({ QueueUrl: deadLetterUrl, AttributeNames: ["QueueArn"] }),
  );
  const redrive = { deadLetterTargetArn: Attributes?.QueueArn, maxReceiveCount: 3 };
  const queueUrl = await createQueue({ RedrivePolicy: JSON.stringify(redrive) });
  return { queueUrl, deadLetterUrl };
}

describeJobQueue("SQS queue on moto", {
  staleReceiptsAccepted: "SQS leaves it open, and moto deletes by any receipt",
  skip: motoMissing,
  setUp,
  tearDown,
  async open() {
    const urls = await createQueues();
    const queue = createSqsJobQueue({ client, ...urls });
    return { queue, elapse: (ms) => delay(ms), close: () => queue.close() };
  },
});

describe.skipIf(motoMissing !== null)(motoMissing === null ? "SQS on moto" : `SQS on moto: ${motoMissing}`, () => {
  beforeAll(setUp);
  afterAll(tearDown);

  test("the group of a message is kept", async () => {
    const urls = await createQueues();
    await createSqsJobQueue({ client, ...urls }).send({ body: "m", groupId: "tenant-1" });
    const { Messages } = await client.send(
      new ReceiveMessageCommand({ QueueUrl: urls.queueUrl, MessageSystemAttributeNames: ["MessageGroupId"] }),
    );
    expect(Messages?.[0]?.Attributes?.MessageGroupId).toBe("tenant-1");
  });

  test("a batch of which SQS refuses a part is an error that says why", async () => {
    const queue = createSqsJobQueue({ client, ...(await createQueues()) });
    const messages = [{ body: "fine" }, { body: "too late", delaySeconds: 901 }];
    await expect(queue.sendBatch(messages)).rejects.toMatchObject({ code: "unavailable" });
  });

  test("closing waits until messages of an aborted poll are given back", async () => {
    const urls = await createQueues();
    const queue = createSqsJobQueue({ client, ...urls });
    const abort = new AbortController();
    const waiting = queue.receive({ max: 1, waitMs: 20_000, visibilityMs: 600_000, signal: abort.signal });
    await delay(300);
    abort.abort();
    await waiting;
    const other = createSqsJobQueue({ client, ...urls });
    await other.send({ body: "kept" });
    await queue.close();
    const [message] = await other.receive({ max: 1, waitMs: 1_000, visibilityMs: 1_000 });
    expect(message?.body).toBe("kept");
  });

  test("a queue that does not exist is unavailable", async () => {
    const queueUrl = `${moto.endpoint}/123456789012/nowhere`;
    const queue = createSqsJobQueue({ client, queueUrl, deadLetterUrl: null });
    await expect(queue.send({ body: "m" })).rejects.toMatchObject({ code: "unavailable" });
    await expect(queue.receive({ max: 1, waitMs: 0, visibilityMs: 0 })).rejects.toMatchObject({ code: "unavailable" });
  });
});
