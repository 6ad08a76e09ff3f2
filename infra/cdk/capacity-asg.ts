import { Duration, Validations } from "aws-cdk-lib";
import {
  AutoScalingGroup,
  GroupMetrics,
  OnDemandAllocationStrategy,
  SpotAllocationStrategy,
} from "aws-cdk-lib/aws-autoscaling";
import {
  BlockDeviceVolume,
  EbsDeviceVolumeType,
  InstanceType,
  LaunchTemplate,
  MachineImage,
  UserData,
} from "aws-cdk-lib/aws-ec2";
import { AsgCapacityProvider, type CapacityProviderStrategy } from "aws-cdk-lib/aws-ecs";
import { ManagedPolicy, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import type { Capacity } from "./capacity-managed.ts";
import { acknowledgeWildcards } from "./wildcards.ts";

/** Where an instance keeps models for its tasks. */
export const MODEL_CACHE_ON_HOST = "/mnt/gnomon-models";

/** The instance's own disk where it has one, else a folder of the root volume. */
const modelCacheOnNvme = [
  `mkdir -p ${MODEL_CACHE_ON_HOST}`,
  "disk=$(lsblk --nodeps --noheadings --output PATH,MODEL | awk '/Instance Storage/ { print $1; exit }')",
  `[ -z "$disk" ] || { mkfs.ext4 -q -m 0 "$disk" && mount "$disk" ${MODEL_CACHE_ON_HOST}; }`,
  `chown 10001:10001 ${MODEL_CACHE_ON_HOST}`,
];

/** Instances of an Auto Scaling group, for a machine image, driver or network of one's own. */
export function asgCapacity({ scope, vpc, cluster, securityGroup, settings }: Capacity): CapacityProviderStrategy[] {
  const role = new Role(scope, "InstanceRole", {
    assumedBy: new ServicePrincipal("ec2.amazonaws.com"),
    managedPolicies: [
      ManagedPolicy.fromAwsManagedPolicyName("service-role/AmazonEC2ContainerServiceforEC2Role"),
      ManagedPolicy.fromAwsManagedPolicyName("AmazonSSMManagedInstanceCore"),
    ],
  });
  for (const policy of ["service-role/AmazonEC2ContainerServiceforEC2Role", "AmazonSSMManagedInstanceCore"]) {
    Validations.of(role).acknowledge({
      id: `AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/${policy}]`,
      reason: "AWS's own policy of a container instance and of Session Manager, which replaces SSH.",
    });
  }
  const userData = UserData.forLinux();
  userData.addCommands("echo ECS_ENABLE_GPU_SUPPORT=true >> /etc/ecs/ecs.config");
  userData.addCommands("echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config");
  userData.addCommands("echo ECS_CONTAINER_STOP_TIMEOUT=120s >> /etc/ecs/ecs.config");
  userData.addCommands(...modelCacheOnNvme);
  const launchTemplate = new LaunchTemplate(scope, "LaunchTemplate", {
    machineImage: MachineImage.fromSsmParameter(settings.machine_image_parameter, { userData }),
    instanceType: new InstanceType(settings.instance_types[0] ?? ""),
    role,
    securityGroup,
    userData,
    requireImdsv2: true,
    // Containers reach the task's role by the agent, and the instance's role not at all.
    httpPutResponseHopLimit: 1,
    detailedMonitoring: true,
    blockDevices: [
      {
        deviceName: "/dev/xvda",
        // Of gp3's own 125 MB/s, a model of 16 GB would take two minutes to be read back.
        volume: BlockDeviceVolume.ebs(100, {
          volumeType: EbsDeviceVolumeType.GP3,
          encrypted: true,
          throughput: 1_000,
          iops: 4_000,
        }),
      },
    ],
  });
  const group = new AutoScalingGroup(scope, "Group", {
    vpc,
    vpcSubnets: { subnets: vpc.privateSubnets },
    minCapacity: 0,
    maxCapacity: settings.max_workers,
    mixedInstancesPolicy: {
      launchTemplate,
      launchTemplateOverrides: settings.instance_types.map((type) => ({ instanceType: new InstanceType(type) })),
      instancesDistribution: {
        onDemandBaseCapacity: settings.on_demand_base,
        onDemandPercentageAboveBaseCapacity: Math.round(100 / (1 + settings.spot_weight)),
        onDemandAllocationStrategy: OnDemandAllocationStrategy.PRIORITIZED,
        spotAllocationStrategy: SpotAllocationStrategy.PRICE_CAPACITY_OPTIMIZED,
      },
    },
    capacityRebalance: true,
    groupMetrics: [GroupMetrics.all()],
    newInstancesProtectedFromScaleIn: true,
    defaultInstanceWarmup: Duration.minutes(5),
  });
  const provider = new AsgCapacityProvider(scope, "AsgProvider", {
    autoScalingGroup: group,
    enableManagedScaling: true,
    enableManagedTerminationProtection: true,
    enableManagedDraining: true,
    targetCapacityPercent: 100,
  });
  cluster.addAsgCapacityProvider(provider);
  acknowledgeWildcards(
    role,
    "The agent registers an instance that is yet to start, and polls by calls without resources.",
    ["*"],
  );
  Validations.of(role).acknowledge({
    id: "AwsSolutions-IAM5[Action::ecs:Submit*]",
    reason: "The CDK's own list of what the agent reports: changes of tasks, containers and attachments.",
  });
  Validations.of(group).acknowledge({
    id: "AwsSolutions-EC26",
    reason: "The launch template encrypts the volume; the rule looks at the group alone.",
  });
  Validations.of(group).acknowledge({
    id: "AwsSolutions-AS3",
    reason: "ECS starts and ends the instances by its own count of tasks; the alarms watch the work, not the machines.",
  });
  return [{ capacityProvider: provider.capacityProviderName, weight: 1 }];
}
