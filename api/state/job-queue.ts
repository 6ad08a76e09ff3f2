export type OutgoingMessage = { body: string; delaySeconds?: number; groupId?: string };

export type ReceivedMessage = {
  id: string;
  body: string;
  /** Valid until the visibility of this receive ends; extend and delete take it. */
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
 * without delete a message moves to the dead-letter queue.
 */
export interface JobQueue {
  send(message: OutgoingMessage): Promise<void>;
  /** Any number; adapters split into batches. Throws if any message was not accepted. */
  sendBatch(messages: OutgoingMessage[]): Promise<void>;
  /** Empty when nothing came in time or the signal was aborted. */
  receive(options: ReceiveOptions): Promise<ReceivedMessage[]>;
  /** Hides the message for `visibilityMs` from now; 0 gives it back at once. False if the receipt is no longer valid. */
  extend(receipt: string, visibilityMs: number): Promise<boolean>;
  /** False if the receipt is no longer valid. */
  delete(receipt: string): Promise<boolean>;
  /** The queue that messages land in after too many deliveries; it has no dead-letter queue itself. */
  readonly deadLetter: JobQueue | null;
  close(): Promise<void>;
}
