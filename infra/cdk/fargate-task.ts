import { Duration, Validations } from "aws-cdk-lib";
import {
  type ContainerImage,
  CpuArchitecture,
  FargateTaskDefinition,
  LogDrivers,
  OperatingSystemFamily,
  type PortMapping,
} from "aws-cdk-lib/aws-ecs";
import type { ILogGroup } from "aws-cdk-lib/aws-logs";
import type { Construct } from "constructs";
import { hardenedContainer } from "./container.ts";
import { acknowledgeWildcards } from "./wildcards.ts";

type Options = {
  name: string;
  cpu: number;
  memoryLimitMiB: number;
  image: ContainerImage;
  environment: Record<string, string>;
  /** What the environment's variables say; no secret may be among them. */
  variables: string;
  logGroup: ILogGroup;
  command?: string[];
  portMappings?: PortMapping[];
};

/** A task of one container without a GPU. */
export function fargateTask(scope: Construct, options: Options): FargateTaskDefinition {
  const { name, cpu, memoryLimitMiB, variables, logGroup, ...container } = options;
  const task = new FargateTaskDefinition(scope, "Task", {
    cpu,
    memoryLimitMiB,
    runtimePlatform: {
      cpuArchitecture: CpuArchitecture.X86_64,
      operatingSystemFamily: OperatingSystemFamily.LINUX,
    },
  });
  hardenedContainer(task, {
    name,
    ...container,
    logging: LogDrivers.awsLogs({ streamPrefix: name, logGroup }),
    stopTimeout: Duration.seconds(30),
  });
  acknowledgeWildcards(task.obtainExecutionRole(), "ecr:GetAuthorizationToken knows no resources.", ["*"]);
  Validations.of(task).acknowledge({
    id: "AwsSolutions-ECS2",
    reason: `They name ${variables}. There is no secret among them.`,
  });
  return task;
}
