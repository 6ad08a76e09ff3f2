import { Duration, Validations } from "aws-cdk-lib";
import { Certificate } from "aws-cdk-lib/aws-certificatemanager";
import { type IVpc, Peer, Port, SecurityGroup } from "aws-cdk-lib/aws-ec2";
import { type Cluster, type ContainerImage, FargateService } from "aws-cdk-lib/aws-ecs";
import {
  ApplicationLoadBalancer,
  ApplicationProtocol,
  type CfnLoadBalancer,
  SslPolicy,
} from "aws-cdk-lib/aws-elasticloadbalancingv2";
import type { IRole } from "aws-cdk-lib/aws-iam";
import type { ILogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { asCluster } from "./as-interface.ts";
import { fargateTask } from "./fargate-task.ts";

type Props = {
  vpc: IVpc;
  cluster: Cluster;
  image: ContainerImage;
  environment: Record<string, string>;
  certificateArn: string;
  logGroup: ILogGroup;
};

const PORT = 8080;

/** The api as containers behind a load balancer: streams events for hours, and takes bodies of any size it likes. */
export class FargateApi extends Construct {
  readonly taskRole: IRole;
  readonly url: string;

  constructor(scope: Construct, id: string, props: Props) {
    super(scope, id);
    const { vpc, cluster, image, environment, certificateArn, logGroup } = props;
    const task = fargateTask(this, {
      name: "api",
      cpu: 1024,
      memoryLimitMiB: 2048,
      image,
      environment,
      variables: "a bucket, a queue and knobs",
      logGroup,
      portMappings: [{ containerPort: PORT }],
    });
    const service = new FargateService(this, "Service", {
      cluster: asCluster(cluster),
      taskDefinition: task,
      desiredCount: 2,
      minHealthyPercent: 100,
      circuitBreaker: { rollback: true },
      healthCheckGracePeriod: Duration.seconds(30),
    });
    service
      .autoScaleTaskCount({ minCapacity: 2, maxCapacity: 20 })
      .scaleOnCpuUtilization("Cpu", { targetUtilizationPercent: 60 });

    const door = new SecurityGroup(this, "Door", { vpc, description: "HTTPS to the Gnomon API" });
    door.addIngressRule(Peer.anyIpv4(), Port.tcp(443), "clients");
    Validations.of(door).acknowledge({
      id: "AwsSolutions-EC23",
      reason: "It is the public API; TLS and API keys guard it.",
    });
    const balancer = new ApplicationLoadBalancer(this, "LoadBalancer", {
      vpc,
      internetFacing: true,
      securityGroup: door,
      dropInvalidHeaderFields: true,
      // Above the longest silence of an event stream.
      idleTimeout: Duration.seconds(120),
    });
    Validations.of(balancer.node.defaultChild as CfnLoadBalancer).acknowledge({
      id: "AwsSolutions-ELB2",
      reason: "Every request is in the service's own log; the balancer's log would need a stack bound to one region.",
    });
    balancer
      .addListener("Https", {
        port: 443,
        protocol: ApplicationProtocol.HTTPS,
        certificates: [Certificate.fromCertificateArn(this, "Certificate", certificateArn)],
        sslPolicy: SslPolicy.RECOMMENDED_TLS,
        open: false,
      })
      .addTargets("Api", {
        port: PORT,
        protocol: ApplicationProtocol.HTTP,
        targets: [service],
        healthCheck: { path: "/readyz", interval: Duration.seconds(15) },
        deregistrationDelay: Duration.seconds(20),
      });
    this.taskRole = task.taskRole;
    this.url = `https://${balancer.loadBalancerDnsName}`;
  }
}
