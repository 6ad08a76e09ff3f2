import { Duration, Validations } from "aws-cdk-lib";
import { type CfnStage, HttpApi } from "aws-cdk-lib/aws-apigatewayv2";
import { HttpLambdaIntegration } from "aws-cdk-lib/aws-apigatewayv2-integrations";
import type { IRole } from "aws-cdk-lib/aws-iam";
import type { ILogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { limits } from "../../api/contract/limits.ts";
import { GnomonFunction } from "./lambda-function.ts";

type Props = { code: string; environment: Record<string, string>; logGroup: ILogGroup; accessLogGroup: ILogGroup };

/** The api as a Lambda function behind an HTTP API. */
export class LambdaApi extends Construct {
  readonly role: IRole;
  readonly url: string;

  constructor(scope: Construct, id: string, { code, environment, logGroup, accessLogGroup }: Props) {
    super(scope, id);
    const { function: handler, role } = new GnomonFunction(this, "Api", {
      code,
      entry: "lambda",
      environment,
      // At 1,769 MB a function has one whole processor; counting the tokens of a long document is bound by it.
      memoryMiB: 1_769,
      // A little before the HTTP API cuts the request off.
      timeout: Duration.millis(limits.httpApiMs - 1_000),
      logGroup,
    });
    const api = new HttpApi(this, "HttpApi", {
      defaultIntegration: new HttpLambdaIntegration("Integration", handler),
    });
    Validations.of(api).acknowledge({
      id: "AwsSolutions-APIG4",
      reason:
        "The service checks API keys itself, the same on every platform, and answers refusals as problem documents.",
    });
    // Which client called what, and how it ended. No query string: a signed URL carries its signature there.
    const stage = api.defaultStage?.node.defaultChild as CfnStage;
    stage.accessLogSettings = {
      destinationArn: accessLogGroup.logGroupArn,
      format: JSON.stringify({
        time: "$context.requestTime",
        request_id: "$context.requestId",
        ip: "$context.identity.sourceIp",
        method: "$context.httpMethod",
        path: "$context.path",
        status: "$context.status",
        latency_ms: "$context.responseLatency",
        error: "$context.integrationErrorMessage",
      }),
    };
    this.role = role;
    this.url = api.apiEndpoint;
  }
}
