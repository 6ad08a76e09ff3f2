import { Duration, type aws_ec2 as ec2, Validations } from "aws-cdk-lib";
import { SecurityGroup } from "aws-cdk-lib/aws-ec2";
import {
  type CapacityProviderStrategy,
  type Cluster,
  Compatibility,
  type ContainerImage,
  Ec2Service,
  FargateService,
  LogDrivers,
  NetworkMode,
  TaskDefinition,
  UlimitName,
} from "aws-cdk-lib/aws-ecs";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { ILogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { asCluster } from "./as-interface.ts";
import { asgCapacity, MODEL_CACHE_ON_HOST } from "./capacity-asg.ts";
import { managedCapacity } from "./capacity-managed.ts";
import { hardenedContainer } from "./container.ts";
import type { Settings } from "./settings.ts";
import { acknowledgeWildcards, nagName } from "./wildcards.ts";

type Props = {
  vpc: ec2.IVpc;
  cluster: Cluster;
  image: ContainerImage;
  environment: (graceSeconds: number) => Record<string, string>;
  settings: Settings;
  logGroup: ILogGroup;
};

/** ECS kills a container this long after SIGTERM, at most; a Spot notice leaves the same two minutes. */
const STOP_SECONDS = 120;
const MODEL_CACHE = "/models";
/** Leaves time to give back what has not ended by then. */
const GRACE_SECONDS = 90;

/** The service of GPU workers: one task an instance, none while there is no work. */
export class Workers extends Construct {
  readonly task: TaskDefinition;
  readonly service: FargateService | Ec2Service;

  constructor(scope: Construct, id: string, props: Props) {
    super(scope, id);
    const { vpc, cluster, image, environment, settings, logGroup } = props;
    const managed = settings.workers === "managed";
    this.task = new TaskDefinition(this, "Task", {
      compatibility: managed ? Compatibility.MANAGED_INSTANCES : Compatibility.EC2,
      networkMode: NetworkMode.AWS_VPC,
      // Of the smallest instance, less what its agent keeps; the container itself may take what there is.
      ...(managed && { cpu: "4096", memoryMiB: "24576" }),
    });
    const container = hardenedContainer(this.task, {
      name: "worker",
      image,
      environment: environment(GRACE_SECONDS),
      logging: LogDrivers.awsLogs({ streamPrefix: "worker", logGroup }),
      stopTimeout: Duration.seconds(STOP_SECONDS),
      gpuCount: 1,
      ...(!managed && { memoryReservationMiB: 24_576 }),
    });
    container.addUlimits({ name: UlimitName.MEMLOCK, softLimit: -1, hardLimit: -1 });
    if (!managed) {
      // Outlives the task, so that the next one on this instance has the model at once.
      this.task.addVolume({ name: "models", host: { sourcePath: MODEL_CACHE_ON_HOST } });
      container.addMountPoints({ sourceVolume: "models", containerPath: MODEL_CACHE, readOnly: false });
      container.addEnvironment("GNOMON_MODEL_CACHE", MODEL_CACHE);
    }
    this.task.addToTaskRolePolicy(
      new PolicyStatement({
        actions: ["ecs:UpdateTaskProtection", "ecs:GetTaskProtection"],
        resources: [cluster.arnForTasks("*")],
      }),
    );
    acknowledgeWildcards(this.task.taskRole, "A task cannot know its own id before it runs.", [
      `arn:<AWS::Partition>:ecs:<AWS::Region>:<AWS::AccountId>:task/${nagName(cluster)}>/*`,
    ]);
    acknowledgeWildcards(this.task.obtainExecutionRole(), "ecr:GetAuthorizationToken knows no resources.", ["*"]);
    Validations.of(this.task).acknowledge({
      id: "AwsSolutions-ECS2",
      reason: "They name a bucket, queues and knobs. There is no secret among them.",
    });

    const securityGroup = new SecurityGroup(this, "Outbound", { vpc, description: "Gnomon workers: nothing comes in" });
    const capacity = { scope: this, vpc, cluster, securityGroup, settings };
    const strategies: CapacityProviderStrategy[] = managed ? managedCapacity(capacity) : asgCapacity(capacity);
    const common = {
      cluster: asCluster(cluster),
      taskDefinition: this.task,
      desiredCount: 0,
      capacityProviderStrategies: strategies,
      // A new version waits for an instance of its own rather than stopping what runs.
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      securityGroups: [securityGroup],
      circuitBreaker: { rollback: true },
    };
    this.service = managed ? new FargateService(this, "Service", common) : new Ec2Service(this, "Service", common);
  }
}
