import { Duration } from "aws-cdk-lib";
import { Rule, Schedule } from "aws-cdk-lib/aws-events";
import { LambdaFunction as LambdaTarget } from "aws-cdk-lib/aws-events-targets";
import type { IRole } from "aws-cdk-lib/aws-iam";
import type { Function as LambdaFunction } from "aws-cdk-lib/aws-lambda";
import type { ILogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { GnomonFunction } from "./lambda-function.ts";

type Props = { code: string; environment: Record<string, string>; logGroup: ILogGroup };

/** Once a minute: does what a crash left undone, and publishes the backlog that the workers are scaled by. */
export class Upkeep extends Construct {
  readonly function: LambdaFunction;
  readonly role: IRole;

  constructor(scope: Construct, id: string, { code, environment, logGroup }: Props) {
    super(scope, id);
    const upkeep = new GnomonFunction(this, "Upkeep", {
      code,
      entry: "upkeep",
      environment,
      memoryMiB: 512,
      timeout: Duration.seconds(55),
      // A slow minute must not be overtaken by the next.
      reservedConcurrentExecutions: 1,
      logGroup,
    });
    this.function = upkeep.function;
    this.role = upkeep.role;
    new Rule(this, "EveryMinute", {
      schedule: Schedule.rate(Duration.minutes(1)),
      targets: [new LambdaTarget(this.function, { retryAttempts: 0 })],
    });
  }
}
