export type OutgoingMessage = { body: string; delaySeconds?: number; groupId?: string };

export type ReceivedMessage = {
  id: string;
  body: string;
  /** Of this delivery, for extend and delete. Ends for sure with the next delivery, for extend with the visibility. */
  receipt: string;
  /** 1 at the first delivery. */
  receiveCount: number;
};

export type ReceiveOptions = {
  max: number;
  /** Long poll: how long to wait for a first message. */
  waitMs: number;
  /** How long a received message stays hidden from others. */
  visibilityMs: number;
  signal?: AbortSignal;
};

/**
 * Port to the queue: at-least-once delivery, no order promised. After `maxReceives` deliveries
 * without delete a message moves to the dead-letter queue. Every method may throw AppError `unavailable` (retryable); a
 * send that throws it may have been accepted.
 */
export interface JobQueue {
  send(message: OutgoingMessage): Promise<void>;
  /** Any number; adapters split into batches. Throws if any message was not accepted. */
  sendBatch(messages: OutgoingMessage[]): Promise<void>;
  /** Empty when nothing came in time or the signal was aborted. */
  receive(options: ReceiveOptions): Promise<ReceivedMessage[]>;
  /** Hides the message for `visibilityMs` from now; 0 gives it back at once. False if the receipt is no longer valid. */
  extend(receipt: string, visibilityMs: number): Promise<boolean>;
  /** False if the receipt is known to be no longer valid. SQS does not always know: then true, and the message comes back. */
  delete(receipt: string): Promise<boolean>;
  /** Where messages land after too many deliveries; has no dead-letter queue itself. null if this is one. */
  readonly deadLetter: JobQueue | null;
  /** Ends waiting receives and what they left behind; clients and databases the adapter was given stay open. */
  close(): Promise<void>;
}
