import { type aws_logs as logs, Validations } from "aws-cdk-lib";
import {
  FlowLogDestination,
  GatewayVpcEndpointAwsService,
  InterfaceVpcEndpointAwsService,
  type IVpc,
  SubnetType,
  Vpc,
} from "aws-cdk-lib/aws-ec2";
import { Construct } from "constructs";
import { asVpc } from "./as-interface.ts";

type Props = { logGroup: logs.ILogGroup };

/** Private subnets for what runs in containers. Documents and weights go to S3 past the NAT gateway, without its fee. */
export class Network extends Construct {
  readonly vpc: IVpc;

  constructor(scope: Construct, id: string, { logGroup }: Props) {
    super(scope, id);
    const vpc = new Vpc(this, "Vpc", {
      maxAzs: 3,
      natGateways: 1,
      restrictDefaultSecurityGroup: false,
      subnetConfiguration: [
        { name: "public", subnetType: SubnetType.PUBLIC, cidrMask: 24, mapPublicIpOnLaunch: false },
        { name: "private", subnetType: SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 19 },
      ],
      flowLogs: { rejected: { destination: FlowLogDestination.toCloudWatchLogs(logGroup) } },
    });
    vpc.addGatewayEndpoint("S3", { service: GatewayVpcEndpointAwsService.S3 });
    const sqs = vpc.addInterfaceEndpoint("Sqs", { service: InterfaceVpcEndpointAwsService.SQS });
    this.vpc = asVpc(vpc);
    Validations.of(sqs).acknowledge({
      id: "AwsSolutions-EC23",
      reason: "The group admits the addresses of the VPC alone, by a reference that the rule cannot read.",
    });
  }
}
