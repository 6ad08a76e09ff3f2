import { Duration, type aws_iam as iam, Validations } from "aws-cdk-lib";
import { Queue, QueueEncryption, type QueueProps } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { limits } from "../../api/contract/limits.ts";

/** SQS's longest: a queue must outlast a stop of the workers over a long weekend. */
const RETENTION = Duration.days(14);
const LONG_POLL = Duration.seconds(20);

/** `deadLetters` is null where a message stays in its queue until it is deleted. */
export type QueuePair = { queue: Queue; deadLetters: Queue | null };

/** The queue of the jobs, with its dead letters, and the queue of the webhook deliveries. */
export class Queues extends Construct {
  readonly jobs: QueuePair & { deadLetters: Queue };
  readonly webhooks: QueuePair;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const deadLetters = this.queue("JobsDeadLetters", limits.visibilityMs);
    this.jobs = {
      queue: this.queue("Jobs", limits.visibilityMs, {
        receiveMessageWaitTime: LONG_POLL,
        deadLetterQueue: { queue: deadLetters, maxReceiveCount: limits.maxReceives },
      }),
      deadLetters,
    };
    const queue = this.queue("Webhooks", limits.webhookVisibilityMs, { receiveMessageWaitTime: LONG_POLL });
    Validations.of(queue).acknowledge({
      id: "AwsSolutions-SQS3",
      reason:
        "A delivery ends with its schedule, however often a busy tenant has it wait; a malformed message is deleted.",
    });
    this.webhooks = { queue, deadLetters: null };
  }

  private queue(name: string, visibilityMs: number, props: QueueProps = {}): Queue {
    return new Queue(this, name, {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: RETENTION,
      visibilityTimeout: Duration.seconds(Math.ceil(visibilityMs / 1000)),
      ...props,
    });
  }
}

export function grantSendAndConsume({ queue, deadLetters }: QueuePair, grantee: iam.IGrantable): void {
  queue.grantSendMessages(grantee);
  queue.grantConsumeMessages(grantee);
  deadLetters?.grantConsumeMessages(grantee);
}
