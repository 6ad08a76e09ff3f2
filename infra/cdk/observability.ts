import { Duration } from "aws-cdk-lib";
import {
  Alarm,
  ComparisonOperator,
  Dashboard,
  GraphWidget,
  type IMetric,
  MathExpression,
  Metric,
  TextWidget,
  TreatMissingData,
} from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import type { Cluster } from "aws-cdk-lib/aws-ecs";
import type { Function as LambdaFunction } from "aws-cdk-lib/aws-lambda";
import type { Topic } from "aws-cdk-lib/aws-sns";
import { Construct } from "constructs";
import type { QueuePair, Queues } from "./queues.ts";

type Props = {
  queues: Queues;
  backlog: Metric;
  upkeep: LambdaFunction;
  cluster: Cluster;
  serviceName: string;
  topic: Topic;
  acceptedWaitSeconds: number;
};

/** What somebody should be woken for, and one page that shows why. */
export class Observability extends Construct {
  private readonly topic: Topic;

  constructor(scope: Construct, id: string, props: Props) {
    super(scope, id);
    const { queues, backlog, upkeep, cluster, serviceName, topic, acceptedWaitSeconds } = props;
    this.topic = topic;
    const running = new Metric({
      namespace: "ECS/ContainerInsights",
      metricName: "RunningTaskCount",
      dimensionsMap: { ClusterName: cluster.clusterName, ServiceName: serviceName },
      statistic: "Average",
      period: Duration.minutes(1),
    });
    this.queueAlarms("Jobs", queues.jobs, acceptedWaitSeconds);
    this.queueAlarms("Webhooks", queues.webhooks, 900);
    const idle = new MathExpression({
      expression: "IF(backlog == 0 AND running > 0, 1, 0)",
      usingMetrics: { backlog, running },
      period: Duration.minutes(1),
    });
    this.alarm("GpuIdle", idle, 1, 45, "Workers have run for 45 minutes without work: scale-in does not work.");
    const stuck = new MathExpression({
      expression: "IF(backlog > 0 AND FILL(running, 0) == 0, 1, 0)",
      usingMetrics: { backlog, running },
      period: Duration.minutes(1),
    });
    this.alarm(
      "NoWorker",
      stuck,
      1,
      20,
      "Work has waited for 20 minutes without any worker: no capacity, or a bad image.",
    );
    this.alarm("UpkeepFails", upkeep.metricErrors({ period: Duration.minutes(5) }), 1, 2, "The upkeep function fails.");

    const dashboard = new Dashboard(this, "Dashboard", { defaultInterval: Duration.hours(6) });
    const graph = (title: string, left: IMetric[], right: IMetric[] = []) =>
      new GraphWidget({ title, left, right, width: 12, height: 6, leftYAxis: { min: 0 }, rightYAxis: { min: 0 } });
    const depth = ({ queue, deadLetters }: QueuePair) => [
      queue.metricApproximateNumberOfMessagesVisible(),
      queue.metricApproximateNumberOfMessagesNotVisible(),
      ...(deadLetters ? [deadLetters.metricApproximateNumberOfMessagesVisible()] : []),
    ];
    dashboard.addWidgets(
      new TextWidget({
        markdown: "Backlog over workers is the wait to expect, in seconds. infra/README.md says how to read the rest.",
        width: 24,
        height: 2,
      }),
    );
    dashboard.addWidgets(
      graph("Backlog, GPU-seconds | workers", [backlog], [running]),
      graph("Age of the oldest job and delivery, s", [
        queues.jobs.queue.metricApproximateAgeOfOldestMessage(),
        queues.webhooks.queue.metricApproximateAgeOfOldestMessage(),
      ]),
    );
    dashboard.addWidgets(
      graph("Jobs: waiting, running, dead", depth(queues.jobs)),
      graph("Webhooks: waiting, in delivery", depth(queues.webhooks)),
    );
  }

  private queueAlarms(name: string, { queue, deadLetters }: QueuePair, waitSeconds: number): void {
    if (deadLetters !== null) {
      const dead = deadLetters.metricApproximateNumberOfMessagesVisible({ period: Duration.minutes(1) });
      // Workers empty the jobs' dead letters within minutes; what stays is what nobody could bury.
      this.alarm(`${name}Dead`, dead, 1, 15, `Dead letters of ${name} stay. See "redrive" in infra/README.md.`);
    }
    const age = queue.metricApproximateAgeOfOldestMessage({ period: Duration.minutes(1) });
    this.alarm(`${name}Old`, age, 4 * waitSeconds, 5, `The oldest message of ${name} waits four times too long.`);
  }

  private alarm(id: string, metric: IMetric, threshold: number, minutes: number, alarmDescription: string): void {
    const alarm = new Alarm(this, id, {
      metric,
      threshold,
      evaluationPeriods: minutes,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: TreatMissingData.NOT_BREACHING,
      alarmDescription,
    });
    alarm.addAlarmAction(new SnsAction(this.topic));
  }
}
