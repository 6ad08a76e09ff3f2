import { Duration, Validations } from "aws-cdk-lib";
import {
  type Cluster,
  type ContainerImage,
  CpuArchitecture,
  FargateService,
  FargateTaskDefinition,
  LogDrivers,
  OperatingSystemFamily,
} from "aws-cdk-lib/aws-ecs";
import type { IRole } from "aws-cdk-lib/aws-iam";
import type { ILogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { asCluster } from "./as-interface.ts";
import { hardenedContainer } from "./container.ts";
import { acknowledgeWildcards } from "./wildcards.ts";

type Props = { cluster: Cluster; image: ContainerImage; environment: Record<string, string>; logGroup: ILogGroup };

/** Delivers webhooks for days after the last worker has gone, from where no document and no result can be read. */
export class WebhookSender extends Construct {
  readonly taskRole: IRole;

  constructor(scope: Construct, id: string, { cluster, image, environment, logGroup }: Props) {
    super(scope, id);
    const task = new FargateTaskDefinition(this, "Task", {
      cpu: 256,
      memoryLimitMiB: 512,
      runtimePlatform: {
        cpuArchitecture: CpuArchitecture.X86_64,
        operatingSystemFamily: OperatingSystemFamily.LINUX,
      },
    });
    hardenedContainer(task, {
      name: "webhooks",
      image,
      environment,
      command: ["worker/webhooks.ts"],
      logging: LogDrivers.awsLogs({ streamPrefix: "webhooks", logGroup }),
      stopTimeout: Duration.seconds(30),
    });
    acknowledgeWildcards(task.obtainExecutionRole(), "ecr:GetAuthorizationToken knows no resources.", ["*"]);
    Validations.of(task).acknowledge({
      id: "AwsSolutions-ECS2",
      reason: "They name a bucket and queues. There is no secret among them.",
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
