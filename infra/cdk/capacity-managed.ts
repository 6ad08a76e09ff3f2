import { type aws_ec2 as ec2, Size, Validations } from "aws-cdk-lib";
import { AcceleratorManufacturer, AcceleratorType } from "aws-cdk-lib/aws-ec2";
import {
  CapacityOptionType,
  type CapacityProviderStrategy,
  CfnCapacityProvider,
  type Cluster,
  ManagedInstancesCapacityProvider,
} from "aws-cdk-lib/aws-ecs";
import type { Construct } from "constructs";
import type { Settings } from "./settings.ts";
import { acknowledgeWildcards } from "./wildcards.ts";

export type Capacity = {
  scope: Construct;
  vpc: ec2.IVpc;
  cluster: Cluster;
  securityGroup: ec2.SecurityGroup;
  settings: Settings;
};

/** Instances that ECS chooses, starts, patches and ends: Spot above a base of On-Demand. */
export function managedCapacity({
  scope,
  vpc,
  cluster,
  securityGroup,
  settings,
}: Capacity): CapacityProviderStrategy[] {
  const provider = (id: string, capacityOptionType: CapacityOptionType) => {
    const created = new ManagedInstancesCapacityProvider(scope, id, {
      capacityOptionType,
      subnets: vpc.privateSubnets,
      securityGroups: [securityGroup],
      instanceRequirements: {
        vCpuCountMin: 4,
        memoryMin: Size.gibibytes(32),
        acceleratorCountMin: 1,
        acceleratorCountMax: 1,
        acceleratorTypes: [AcceleratorType.GPU],
        acceleratorManufacturers: [AcceleratorManufacturer.NVIDIA],
        allowedInstanceTypes: settings.instance_types,
      },
      // Image, model and scratch, where an instance has no disk of its own. Neither its kind nor its speed can be chosen.
      taskVolumeStorage: Size.gibibytes(100),
    });
    preferLocalDisk(created);
    cluster.addManagedInstancesCapacityProvider(created);
    Validations.of(created).acknowledge({
      id: "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/AmazonECSInfrastructureRolePolicyForManagedInstances]",
      reason: "AWS's own policy for this role; it changes with the service.",
    });
    const agent = "The agent registers an instance that is yet to start, and polls with calls that know no resources.";
    acknowledgeWildcards(created, agent, [
      "*",
      "arn:<AWS::Partition>:ecs:<AWS::Region>:<AWS::AccountId>:container-instance/*",
    ]);
    return created.capacityProviderName;
  };
  return [
    {
      capacityProvider: provider("OnDemand", CapacityOptionType.ON_DEMAND),
      base: settings.on_demand_base,
      weight: 1,
    },
    { capacityProvider: provider("Spot", CapacityOptionType.SPOT), weight: settings.spot_weight },
  ];
}

/** NVMe in place of a network volume, so that neither the image nor the model waits for one. No property of the construct has it. */
function preferLocalDisk(provider: ManagedInstancesCapacityProvider): void {
  const resource = provider.node.children.find((child) => child instanceof CfnCapacityProvider);
  if (resource === undefined) throw new Error(`${provider.node.path} holds no CfnCapacityProvider any more`);
  const template = "ManagedInstancesProvider.InstanceLaunchTemplate";
  resource.addPropertyOverride(`${template}.LocalStorageConfiguration.UseLocalStorage`, true);
}
