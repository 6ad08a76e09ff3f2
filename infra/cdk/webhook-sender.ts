import { type Cluster, type ContainerImage, FargateService } from "aws-cdk-lib/aws-ecs";
import type { IRole } from "aws-cdk-lib/aws-iam";
import type { ILogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { asCluster } from "./as-interface.ts";
import { fargateTask } from "./fargate-task.ts";

type Props = { cluster: Cluster; image: ContainerImage; environment: Record<string, string>; logGroup: ILogGroup };

/** Delivers webhooks for days after the last worker has gone, from where no document and no result can be read. */
export class WebhookSender extends Construct {
  readonly taskRole: IRole;

  constructor(scope: Construct, id: string, { cluster, image, environment, logGroup }: Props) {
    super(scope, id);
    const task = fargateTask(this, {
      name: "webhooks",
      cpu: 256,
      memoryLimitMiB: 512,
      image,
      environment,
      variables: "a bucket and queues",
      logGroup,
      command: ["worker/webhooks.ts"],
    });
    new FargateService(this, "Service", {
      cluster: asCluster(cluster),
      taskDefinition: task,
      desiredCount: 1,
      minHealthyPercent: 100,
      circuitBreaker: { rollback: true },
    });
    this.taskRole = task.taskRole;
  }
}
