import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from "aws-cdk-lib";
import { Metric } from "aws-cdk-lib/aws-cloudwatch";
import { Repository } from "aws-cdk-lib/aws-ecr";
import { Cluster, ContainerImage, ContainerInsights } from "aws-cdk-lib/aws-ecs";
import type { IRole } from "aws-cdk-lib/aws-iam";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import { Topic } from "aws-cdk-lib/aws-sns";
import { EmailSubscription } from "aws-cdk-lib/aws-sns-subscriptions";
import type { Construct } from "constructs";
import { BACKLOG_METRIC } from "../../api/contract/backlog.ts";
import { keys } from "../../api/contract/keys.ts";
import { FargateApi } from "./api-fargate.ts";
import { LambdaApi } from "./api-lambda.ts";
import { Budget } from "./budget.ts";
import { apiEnvironment, webhooksEnvironment, workerEnvironment } from "./environment.ts";
import { grantModel } from "./model-access.ts";
import { Network } from "./network.ts";
import { Observability } from "./observability.ts";
import { grantSendAndConsume, Queues } from "./queues.ts";
import type { Settings } from "./settings.ts";
import { Storage } from "./storage.ts";
import { Upkeep } from "./upkeep.ts";
import { WebhookSender } from "./webhook-sender.ts";
import { WorkerScaling } from "./worker-scaling.ts";
import { Workers } from "./workers.ts";

type Props = StackProps & {
  settings: Settings;
  /** Folder with the code of the Lambda functions. */
  lambdaCode: string;
};

/** Tenants' objects, the index of unfinished jobs, the workers' reports, the probe: what whoever runs jobs' states needs. */
const JOB_PREFIXES = ["t/", keys.active, keys.workers, keys.probes];

export class GnomonStack extends Stack {
  constructor(scope: Construct, id: string, { settings, lambdaCode, ...props }: Props) {
    super(scope, id, props);
    const log = (name: string) =>
      new LogGroup(this, `${name}Log`, {
        retention: RetentionDays[settings.log_retention],
        removalPolicy: RemovalPolicy.DESTROY,
      });
    const storage = new Storage(this, "Storage", { retentionDays: settings.retention_days });
    const queues = new Queues(this, "Queues");
    const topic = new Topic(this, "Alarms", { enforceSSL: true });
    if (settings.alarm_email) topic.addSubscription(new EmailSubscription(settings.alarm_email));

    const state = { storage, queues, region: this.region, settings };
    const { vpc } = new Network(this, "Network", { logGroup: log("Flow") });
    const cluster = new Cluster(this, "Cluster", { vpc, containerInsightsV2: ContainerInsights.ENABLED });

    const environment = apiEnvironment(state);
    const api = this.api({ settings, lambdaCode, environment, cluster, log });
    const upkeep = new Upkeep(this, "Upkeep", { code: lambdaCode, environment, logGroup: log("Upkeep") });
    const workers = new Workers(this, "Workers", {
      vpc,
      cluster,
      image: this.image("WorkerImage", settings.worker_image),
      environment: (graceSeconds) => workerEnvironment(state, graceSeconds),
      settings,
      logGroup: log("Worker"),
    });

    const sender = new WebhookSender(this, "Webhooks", {
      cluster,
      image: this.image("SenderImage", settings.api_image),
      environment: webhooksEnvironment(state),
      logGroup: log("Webhooks"),
    });

    for (const role of [api.role, upkeep.role]) {
      storage.grantPrefixes(role, [...JOB_PREFIXES, keys.uploads, keys.webhookSettings, keys.apiKeys()]);
      queues.jobs.queue.grantSendMessages(role);
      queues.webhooks.queue.grantSendMessages(role);
    }
    const worker = workers.task.taskRole;
    storage.grantPrefixes(worker, [...JOB_PREFIXES, keys.webhookSettings]);
    grantSendAndConsume(queues.jobs, worker);
    grantSendAndConsume(queues.webhooks, worker);
    for (const role of [api.role, upkeep.role, worker]) grantModel(role, settings.model);
    storage.grantPrefixes(sender.taskRole, [keys.webhookEvents("*", "*"), keys.webhookSettings, keys.probes]);
    grantSendAndConsume(queues.webhooks, sender.taskRole);

    const backlog = new Metric({ ...BACKLOG_METRIC, statistic: "Maximum", period: Duration.minutes(1) });
    const { serviceName } = workers.service;
    new WorkerScaling(this, "Scaling", { cluster, serviceName, backlog, settings });
    new Observability(this, "Observability", {
      queues,
      backlog,
      upkeep: upkeep.function,
      cluster,
      serviceName,
      topic,
      acceptedWaitSeconds: settings.target_backlog_gpu_seconds,
    });
    new Budget(this, "Budget", { monthlyUsd: settings.monthly_budget_usd, topic });

    const outputs = {
      Url: api.url,
      BucketName: storage.bucket.bucketName,
      QueueUrl: queues.jobs.queue.queueUrl,
      DeadLetterQueueUrl: queues.jobs.deadLetters.queueUrl,
      WebhookQueueUrl: queues.webhooks.queue.queueUrl,
      ClusterName: cluster.clusterName,
      WorkerServiceName: serviceName,
    };
    for (const [name, value] of Object.entries(outputs)) new CfnOutput(this, name, { value });
  }

  private api(parts: {
    settings: Settings;
    lambdaCode: string;
    environment: ReturnType<typeof apiEnvironment>;
    cluster: Cluster;
    log: (name: string) => LogGroup;
  }): { url: string; role: IRole } {
    const { settings, lambdaCode: code, environment, cluster, log } = parts;
    if (settings.api === "lambda") {
      const logs = { logGroup: log("Api"), accessLogGroup: log("ApiAccess") };
      const api = new LambdaApi(this, "Api", { code, environment, ...logs });
      return { url: api.url, role: api.role };
    }
    const api = new FargateApi(this, "Api", {
      cluster,
      vpc: cluster.vpc,
      image: this.image("ApiImage", settings.api_image),
      environment,
      certificateArn: settings.certificate_arn ?? "",
      logGroup: log("Api"),
    });
    return { url: api.url, role: api.taskRole };
  }

  private image(id: string, uri: string): ContainerImage {
    const [repository = "", tag = ""] = uri.split(":");
    return ContainerImage.fromEcrRepository(Repository.fromRepositoryName(this, id, repository), tag);
  }
}
