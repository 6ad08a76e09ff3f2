import { Duration } from "aws-cdk-lib";
import {
  AdjustmentType,
  CfnScalingPolicy,
  MetricAggregationType,
  ScalableTarget,
  ServiceNamespace,
  StepScalingPolicy,
} from "aws-cdk-lib/aws-applicationautoscaling";
import type { Metric } from "aws-cdk-lib/aws-cloudwatch";
import type { Cluster } from "aws-cdk-lib/aws-ecs";
import { Construct } from "constructs";
import { scalingDefaults } from "../scaling/policy.ts";
import type { Settings } from "./settings.ts";

type Props = { cluster: Cluster; serviceName: string; backlog: Metric; settings: Settings };

/** Workers by the GPU-seconds of waiting work: the first as soon as there is any, more by the work that each would have. */
export class WorkerScaling extends Construct {
  constructor(scope: Construct, id: string, { cluster, serviceName, backlog, settings }: Props) {
    super(scope, id);
    const target = new ScalableTarget(this, "Target", {
      serviceNamespace: ServiceNamespace.ECS,
      resourceId: `service/${cluster.clusterName}/${serviceName}`,
      scalableDimension: "ecs:service:DesiredCount",
      minCapacity: 0,
      maxCapacity: settings.max_workers,
    });
    // Target tracking multiplies, so it never leaves zero: the first worker needs a policy of its own.
    new StepScalingPolicy(this, "FirstWorker", {
      scalingTarget: target,
      metric: backlog.with({ statistic: "Maximum", period: Duration.minutes(1) }),
      adjustmentType: AdjustmentType.CHANGE_IN_CAPACITY,
      metricAggregationType: MetricAggregationType.MAXIMUM,
      evaluationPeriods: 1,
      // A worker that is starting counts as there; without a pause each minute of its start would add another.
      cooldown: Duration.seconds(scalingDefaults.firstWorkerCooldownSeconds),
      scalingSteps: [
        { upper: 0, change: 0 },
        { lower: 1, change: 1 },
      ],
    });
    const dimensions = [
      { name: "ClusterName", value: cluster.clusterName },
      { name: "ServiceName", value: serviceName },
    ];
    new CfnScalingPolicy(this, "BacklogPerWorker", {
      policyName: "backlog-gpu-seconds-per-worker",
      policyType: "TargetTrackingScaling",
      scalingTargetId: target.scalableTargetId,
      targetTrackingScalingPolicyConfiguration: {
        targetValue: settings.target_backlog_gpu_seconds,
        scaleOutCooldown: scalingDefaults.scaleOutCooldownSeconds,
        scaleInCooldown: scalingDefaults.scaleInCooldownSeconds,
        customizedMetricSpecification: {
          metrics: [
            {
              id: "backlog",
              label: "GPU-seconds of waiting and running work",
              returnData: false,
              metricStat: { metric: { namespace: backlog.namespace, metricName: backlog.metricName }, stat: "Maximum" },
            },
            {
              id: "running",
              label: "Running workers",
              returnData: false,
              metricStat: {
                metric: { namespace: "ECS/ContainerInsights", metricName: "RunningTaskCount", dimensions },
                stat: "Average",
              },
            },
            {
              id: "each",
              label: "GPU-seconds of work a worker",
              expression: "backlog / IF(running > 0, running, 1)",
              returnData: true,
            },
          ],
        },
      },
    });
  }
}
