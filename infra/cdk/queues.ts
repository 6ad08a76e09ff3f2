import { Duration, type aws_iam as iam } from "aws-cdk-lib";
import { Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { limits } from "../../api/contract/limits.ts";

/** SQS's longest: a queue must outlast a stop of the workers over a long weekend. */
const RETENTION = Duration.days(14);

/** A webhook ends with its own schedule; only what can never be read shall leave its queue before that. */
const SQS_MAX_RECEIVES = 1_000;

export type QueuePair = { queue: Queue; deadLetters: Queue };

/** The queue of the jobs and the queue of the webhook deliveries, each with its dead letters. */
export class Queues extends Construct {
  readonly jobs: QueuePair;
  readonly webhooks: QueuePair;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.jobs = this.pair("Jobs", limits.visibilityMs, limits.maxReceives);
    this.webhooks = this.pair("Webhooks", limits.webhookVisibilityMs, SQS_MAX_RECEIVES);
  }

  private pair(name: string, visibilityMs: number, maxReceiveCount: number): QueuePair {
    const visibilityTimeout = Duration.seconds(Math.ceil(visibilityMs / 1000));
    const common = { encryption: QueueEncryption.SQS_MANAGED, enforceSSL: true, retentionPeriod: RETENTION };
    const deadLetters = new Queue(this, `${name}DeadLetters`, { ...common, visibilityTimeout });
    const queue = new Queue(this, name, {
      ...common,
      visibilityTimeout,
      receiveMessageWaitTime: Duration.seconds(20),
      deadLetterQueue: { queue: deadLetters, maxReceiveCount },
    });
    return { queue, deadLetters };
  }
}

export function grantSendAndConsume({ queue, deadLetters }: QueuePair, grantee: iam.IGrantable): void {
  queue.grantSendMessages(grantee);
  queue.grantConsumeMessages(grantee);
  deadLetters.grantConsumeMessages(grantee);
}
