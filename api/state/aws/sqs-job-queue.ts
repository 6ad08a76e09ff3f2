import {
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import type { JobQueue, OutgoingMessage, ReceivedMessage } from "../job-queue.ts";
import { unavailable } from "./service-error.ts";

/** SQS's limit for every batch and for one receive. */
const batchSize = 10;
/** SQS allows 20 s; shorter polls cost a few requests a minute more and bound how long `close` waits for the last one. */
const pollSeconds = 5;

type Options = {
  /** Stays the caller's to destroy. */
  client: SQSClient;
  queueUrl: string;
  /** Where the redrive policy of the queue, set by its owner, moves exhausted messages. */
  deadLetterUrl: string | null;
};

/** A standard SQS queue. SQS may take the receipt of an earlier delivery for valid: `delete` is then true, without effect. */
export function createSqsJobQueue({ client, queueUrl, deadLetterUrl }: Options): JobQueue {
  const queue = { QueueUrl: queueUrl };
  const deadLetter =
    deadLetterUrl === null ? null : createSqsJobQueue({ client, queueUrl: deadLetterUrl, deadLetterUrl: null });
  const abandoned = new Set<Promise<void>>();

  async function sendBatch(messages: OutgoingMessage[]): Promise<void> {
    for (let first = 0; first < messages.length; first += batchSize) {
      const Entries = messages.slice(first, first + batchSize).map(({ body, delaySeconds, groupId }, index) => ({
        Id: String(index),
        MessageBody: body,
        DelaySeconds: delaySeconds,
        MessageGroupId: groupId,
      }));
      const { Failed = [] } = await client
        .send(new SendMessageBatchCommand({ ...queue, Entries }))
        .catch(rethrow("send to the queue"));
      if (Failed.length > 0) {
        const reasons = new Set(Failed.map(({ Code, Message }) => `${Code}: ${Message}`));
        throw unavailable(
          "send to the queue",
          new Error(`${Failed.length} messages refused (${[...reasons].join("; ")})`),
        );
      }
    }
  }

  async function poll(max: number, waitSeconds: number, visibilityMs: number): Promise<ReceivedMessage[]> {
    const { Messages = [] } = await client.send(
      new ReceiveMessageCommand({
        ...queue,
        MaxNumberOfMessages: Math.min(max, batchSize),
        WaitTimeSeconds: waitSeconds,
        VisibilityTimeout: Math.ceil(visibilityMs / 1000),
        MessageSystemAttributeNames: ["ApproximateReceiveCount"],
      }),
    );
    return Messages.map(toReceived);
  }

  /** What a poll brings after its receive was aborted goes back at once; if that fails, when its visibility ends. */
  function abandon(polling: Promise<ReceivedMessage[]>): void {
    const settled = polling
      .then(async (messages) => {
        if (messages.length === 0) return;
        const Entries = messages.map(({ receipt }, index) => ({
          Id: String(index),
          ReceiptHandle: receipt,
          VisibilityTimeout: 0,
        }));
        await client.send(new ChangeMessageVisibilityBatchCommand({ ...queue, Entries }));
      })
      .catch(() => {})
      .finally(() => abandoned.delete(settled));
    abandoned.add(settled);
  }

  /**
   * Waits for a first message, until the deadline. The request of an aborted receive runs on: SQS would hand its
   * messages to the closed connection, and they would be hidden from everyone until their visibility ends.
   */
  async function firstPoll(max: number, waitMs: number, visibilityMs: number, signal: AbortSignal | undefined) {
    const deadline = performance.now() + waitMs;
    while (!signal?.aborted) {
      const remainingMs = Math.max(0, deadline - performance.now());
      const polling = poll(max, Math.min(pollSeconds, Math.ceil(remainingMs / 1000)), visibilityMs);
      const messages = await unlessAborted(polling, signal);
      if (messages === null) {
        abandon(polling);
        break;
      }
      if (messages.length > 0 || performance.now() >= deadline) return messages;
    }
    return [];
  }

  return {
    send: (message) => sendBatch([message]),
    sendBatch,

    async receive({ max, waitMs, visibilityMs, signal }) {
      const messages = await firstPoll(max, waitMs, visibilityMs, signal).catch(rethrow("receive from the queue"));
      // A full batch says that there may be more. A failure here must not lose what has come already.
      let more = messages.length === batchSize;
      while (more && messages.length < max && !signal?.aborted) {
        const next = await poll(max - messages.length, 0, visibilityMs).catch(() => []);
        messages.push(...next);
        more = next.length > 0;
      }
      return messages;
    },

    extend: (receipt, visibilityMs) =>
      whileValid("extend of a message", () =>
        client.send(
          new ChangeMessageVisibilityCommand({
            ...queue,
            ReceiptHandle: receipt,
            VisibilityTimeout: Math.ceil(visibilityMs / 1000),
          }),
        ),
      ),

    delete: (receipt) =>
      whileValid("delete of a message", () =>
        client.send(new DeleteMessageCommand({ ...queue, ReceiptHandle: receipt })),
      ),

    deadLetter,

    async close() {
      await Promise.all(abandoned);
      await deadLetter?.close();
    },
  };
}

const toReceived = ({ MessageId = "", Body = "", ReceiptHandle = "", Attributes }: Message): ReceivedMessage => ({
  id: MessageId,
  body: Body,
  receipt: ReceiptHandle,
  receiveCount: Number(Attributes?.ApproximateReceiveCount ?? 1),
});

const rethrow = (what: string) => (error: unknown) => {
  throw unavailable(what, error);
};

/** True if `change` was made, false if SQS no longer knows the receipt. */
async function whileValid(what: string, change: () => Promise<unknown>): Promise<boolean> {
  try {
    await change();
    return true;
  } catch (error) {
    if (isInvalidReceipt(error)) return false;
    throw unavailable(what, error);
  }
}

/** SQS reports a message that is gone as an invalid parameter, and only its text says which. */
const isInvalidReceipt = (error: unknown): boolean =>
  error instanceof Error &&
  (["ReceiptHandleIsInvalid", "MessageNotInflight"].includes(error.name) ||
    (error.name.startsWith("InvalidParameterValue") && error.message.includes("ReceiptHandle")));

/** null as soon as the signal is aborted. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T | null> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => resolve(null);
    signal.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
