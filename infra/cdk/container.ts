import { Duration } from "aws-cdk-lib";
import {
  type ContainerDefinition,
  type ContainerImage,
  LinuxParameters,
  type LogDriver,
  type PortMapping,
  type TaskDefinition,
} from "aws-cdk-lib/aws-ecs";

type Options = {
  name: string;
  image: ContainerImage;
  environment: Record<string, string>;
  logging: LogDriver;
  command?: string[];
  stopTimeout: Duration;
  portMappings?: PortMapping[];
  gpuCount?: number;
  memoryReservationMiB?: number;
};

/** A container that runs as nobody, on a root file system it cannot write, with a scratch volume at /tmp. */
export function hardenedContainer(task: TaskDefinition, options: Options): ContainerDefinition {
  const { name, ...rest } = options;
  task.addVolume({ name: "tmp" });
  const linuxParameters = new LinuxParameters(task, `${name}Linux`, { initProcessEnabled: true });
  const container = task.addContainer(name, {
    ...rest,
    containerName: name,
    essential: true,
    user: "10001:10001",
    readonlyRootFilesystem: true,
    linuxParameters,
    healthCheck: {
      command: ["CMD", "/usr/local/bin/node", "/app/health.mjs"],
      interval: Duration.seconds(15),
      timeout: Duration.seconds(5),
      retries: 4,
      startPeriod: Duration.seconds(300),
    },
  });
  container.addMountPoints({ sourceVolume: "tmp", containerPath: "/tmp", readOnly: false });
  return container;
}
