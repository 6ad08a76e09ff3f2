import type { Duration } from "aws-cdk-lib";
import { Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Architecture, Code, Function as LambdaFunction, LoggingFormat, Runtime } from "aws-cdk-lib/aws-lambda";
import type { ILogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";

type Props = {
  /** Folder that stage-app.ts filled. */
  code: string;
  entry: "lambda" | "upkeep";
  environment: Record<string, string>;
  memoryMiB: number;
  timeout: Duration;
  reservedConcurrentExecutions?: number;
  logGroup: ILogGroup;
};

/** A function of ours with a role that may do nothing but write its log, until somebody grants more. */
export class GnomonFunction extends Construct {
  readonly function: LambdaFunction;
  readonly role: Role;

  constructor(scope: Construct, id: string, props: Props) {
    super(scope, id);
    const { code, entry, environment, memoryMiB, timeout, logGroup } = props;
    this.role = new Role(this, "Role", { assumedBy: new ServicePrincipal("lambda.amazonaws.com") });
    logGroup.grantWrite(this.role);
    // Lambda sets AWS_REGION itself, and refuses a function that sets it.
    const { AWS_REGION: _, ...variables } = environment;
    this.function = new LambdaFunction(this, "Function", {
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.X86_64,
      code: Code.fromAsset(code),
      handler: `${entry}.handler`,
      role: this.role,
      environment: variables,
      memorySize: memoryMiB,
      timeout,
      logGroup,
      loggingFormat: LoggingFormat.TEXT,
      ...(props.reservedConcurrentExecutions !== undefined && {
        reservedConcurrentExecutions: props.reservedConcurrentExecutions,
      }),
    });
  }
}
