import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Match, Template } from "aws-cdk-lib/assertions";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { keys } from "../../../api/contract/keys.ts";
import { limits } from "../../../api/contract/limits.ts";
import { createCdkApp } from "../../../infra/cdk/create-app.ts";
import { scalingDefaults } from "../../../infra/scaling/policy.ts";
import { mayDo, mayList, type Statement } from "../../support/iam.ts";

const CFN_LINT = fileURLToPath(new URL("../../../.build/venv/bin/cfn-lint", import.meta.url));
const CERTIFICATE = "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000";

const variants = {
  "lambda and managed instances": {},
  "fargate and an Auto Scaling group": {
    api: "fargate",
    workers: "asg",
    certificate_arn: CERTIFICATE,
    model: "s3://models/llama-3.1-8b",
    alarm_email: "ops@example.com",
  },
};
type Variant = keyof typeof variants;

const without = (all: Set<string>, some: Set<string>) =>
  [...all].filter((item) => !some.has(item)).sort((a, b) => a.localeCompare(b));

/** An example of every object that there can be, by the name of its key. */
const objects = Object.fromEntries(
  Object.entries(keys)
    .map(([name, key]) => [
      name,
      typeof key === "string" ? key : (key as (...ids: string[]) => string)("acme", "1", "1"),
    ])
    .filter(([name, key]) => !key?.endsWith("/") && name !== "afterTenant" && name !== "jobIndexFrom"),
) as Record<string, string>;

const inBucket = (key: string) => `/${key}`;

let folder: string;
const templates = {} as Record<Variant, Template>;
const files = {} as Record<Variant, string>;

async function synthesise(context: Record<string, string>, outdir: string) {
  const app = await createCdkApp({ outdir, context, lambdaCode: async () => join(folder, "code") });
  // Throws where cdk-nag has found something that is not acknowledged.
  return app.synth();
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gnomon-cdk-"));
  await mkdir(join(folder, "code"));
  await writeFile(join(folder, "code", "lambda.mjs"), "");
  for (const [name, context] of Object.entries(variants) as [Variant, Record<string, string>][]) {
    const assembly = await synthesise(context, join(folder, name.replaceAll(" ", "-")));
    const [stack] = assembly.stacks;
    templates[name] = Template.fromJSON(stack?.template);
    files[name] = stack?.templateFullPath ?? "";
  }
}, 120_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

describe.each(Object.keys(variants) as Variant[])("the stack of %s", (variant) => {
  const template = () => templates[variant];
  const policiesOf = (role: RegExp) =>
    Object.values(template().findResources("AWS::IAM::Policy")).filter(({ Properties }) =>
      Properties.Roles.some((of: { Ref: string }) => role.test(of.Ref)),
    );

  it("keeps every bucket private, encrypted and on TLS", () => {
    const buckets = Object.values(template().findResources("AWS::S3::Bucket"));
    expect(buckets).toHaveLength(2);
    for (const { Properties, DeletionPolicy } of buckets) {
      expect(Object.values(Properties.PublicAccessBlockConfiguration)).toEqual([true, true, true, true]);
      expect(Properties.BucketEncryption).toBeDefined();
      expect(DeletionPolicy).toBe("Retain");
    }
    const policies = template().findResources("AWS::S3::BucketPolicy");
    for (const { Properties } of Object.values(policies)) {
      expect(Properties.PolicyDocument.Statement).toContainEqual(
        expect.objectContaining({ Effect: "Deny", Condition: { Bool: { "aws:SecureTransport": "false" } } }),
      );
    }
  });

  it("refuses a write of a state object that has no condition, and a second write of a result", () => {
    const refusal = (patterns: string[], absent: Record<string, string>) =>
      Match.objectLike({
        Effect: "Deny",
        Action: "s3:PutObject",
        Principal: { AWS: "*" },
        Condition: { Null: absent, Bool: { "s3:ObjectCreationOperation": "true" } },
        Resource: patterns.map((pattern) => ({ "Fn::Join": ["", [Match.anyValue(), pattern]] })),
      });
    const swapped = [
      "t/*/j/*/state.json",
      "t/*/b/*/batch.json",
      "t/*/idem/*",
      "t/*/j/*/webhook/*.json",
      "w/*/keys.json",
    ];
    template().hasResourceProperties("AWS::S3::BucketPolicy", {
      PolicyDocument: {
        Statement: Match.arrayWith([
          refusal([...swapped, "k/*/*/key.json"].map(inBucket), { "s3:if-match": "true", "s3:if-none-match": "true" }),
          refusal(["t/*/j/*/result.json", "t/*/d/*/info.json", "t/*/f/*/info.json"].map(inBucket), {
            "s3:if-none-match": "true",
          }),
        ]),
      },
    });
  });

  it("removes probes after a day, jobs after their retention, and nothing below active/", () => {
    template().hasResourceProperties("AWS::S3::Bucket", {
      VersioningConfiguration: { Status: "Enabled" },
      LifecycleConfiguration: {
        Rules: [
          Match.objectLike({ Prefix: "t/", ExpirationInDays: 30 }),
          Match.objectLike({ Prefix: "u/", ExpirationInDays: 2 }),
          Match.objectLike({ Prefix: "probe/", ExpirationInDays: 1 }),
          Match.objectLike({ AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 } }),
        ],
      },
    });
  });

  it("gives jobs dead letters after the contract's attempts, and hides a message for longer than a lease", () => {
    const queues = Object.values(template().findResources("AWS::SQS::Queue"));
    expect(queues).toHaveLength(3);
    const redriven = queues.filter(({ Properties }) => Properties.RedrivePolicy);
    expect(redriven.map(({ Properties }) => Properties.RedrivePolicy.maxReceiveCount)).toEqual([limits.maxReceives]);
    for (const { Properties } of queues) {
      expect(Properties.MessageRetentionPeriod).toBe(14 * 24 * 3600);
    }
    const visibilities = queues.map(({ Properties }) => Properties.VisibilityTimeout as number);
    expect(Math.max(...visibilities) * 1000).toBeGreaterThan(limits.leaseMs);
    expect(Math.min(...visibilities) * 1000).toBeGreaterThan(2 * limits.heartbeatMs);
  });

  it("lets no number of deliveries take a webhook out of its queue", () => {
    const [webhooks] = Object.values(
      template().findResources("AWS::SQS::Queue", {
        Properties: { VisibilityTimeout: limits.webhookVisibilityMs / 1000 },
      }),
    );
    expect(webhooks?.Properties).toBeDefined();
    expect(webhooks?.Properties.RedrivePolicy).toBeUndefined();
  });

  it("starts with no worker, and replaces one only when its successor runs", () => {
    template().hasResourceProperties("AWS::ECS::Service", {
      DesiredCount: 0,
      DeploymentConfiguration: Match.objectLike({ MinimumHealthyPercent: 100, MaximumPercent: 200 }),
    });
  });

  it("scales on GPU-seconds and not on messages", () => {
    template().hasResourceProperties("AWS::ApplicationAutoScaling::ScalableTarget", { MinCapacity: 0, MaxCapacity: 8 });
    template().hasResourceProperties("AWS::ApplicationAutoScaling::ScalingPolicy", {
      PolicyType: "TargetTrackingScaling",
      TargetTrackingScalingPolicyConfiguration: {
        CustomizedMetricSpecification: {
          Metrics: Match.arrayWith([
            Match.objectLike({ MetricStat: { Metric: { Namespace: "Gnomon", MetricName: "BacklogGpuSeconds" } } }),
          ]),
        },
      },
    });
    template().hasResourceProperties("AWS::ApplicationAutoScaling::ScalingPolicy", {
      PolicyType: "StepScaling",
      StepScalingPolicyConfiguration: {
        StepAdjustments: Match.arrayWith([Match.objectLike({ ScalingAdjustment: 1 })]),
      },
    });
  });

  it("runs workers as nobody, on a root file system they cannot write, with two minutes to stop", () => {
    template().hasResourceProperties("AWS::ECS::TaskDefinition", {
      ContainerDefinitions: [
        Match.objectLike({
          Name: "worker",
          User: "10001:10001",
          ReadonlyRootFilesystem: true,
          StopTimeout: 120,
          ResourceRequirements: [{ Type: "GPU", Value: "1" }],
          HealthCheck: Match.objectLike({ Command: Match.arrayWith(["/app/health.mjs"]) }),
        }),
      ],
    });
  });

  it("lets ECS replace a container whose process hangs, whichever it is", () => {
    const found = Object.values(template().findResources("AWS::ECS::TaskDefinition")).flatMap(
      ({ Properties }) => Properties.ContainerDefinitions as { Name: string; HealthCheck?: { Command: string[] } }[],
    );
    expect(found.map(({ Name }) => Name)).toEqual(expect.arrayContaining(["webhooks", "worker"]));
    for (const { HealthCheck } of found) expect(HealthCheck?.Command.at(-1)).toBe("/app/health.mjs");
  });

  it("gives no role all actions or all objects", () => {
    for (const { Properties } of Object.values(template().findResources("AWS::IAM::Policy"))) {
      for (const { Action, Resource } of Properties.PolicyDocument.Statement) {
        expect([Action].flat().filter((action) => /^(s3|sqs):\*$|^\*$/.test(action))).toEqual([]);
        if ([Action].flat().some((action) => /^s3:(Get|Put|Delete)/.test(action))) {
          expect(JSON.stringify(Resource)).toMatch(/\/(t|active|workers|probe|k|w|u|llama-3\.1-8b)\/\*/);
        }
      }
    }
  });

  it("lets the api, upkeep and the workers at every prefix that keys have, but for api keys", () => {
    const made = Object.values(keys).map((key) =>
      typeof key === "string" ? key : (key as (...ids: string[]) => string)("a", "1", "1"),
    );
    const prefixes = new Set(made.map((key) => `/${key.split("/")[0]}/*`));
    const reachable = (who: RegExp) => new Set(JSON.stringify(policiesOf(who)).match(/\/[a-z]+\/\*/g));
    for (const who of [/^Api.*Role/, /^Upkeep/]) {
      expect(without(prefixes, reachable(who))).toEqual([]);
    }
    expect(without(prefixes, reachable(/^WorkersTaskTaskRole/))).toEqual(["/k/*", "/u/*"]);
  });

  it("lets whoever has the model's files read them, and write them never", () => {
    const statements = policiesOf(/./).flatMap(({ Properties }) => Properties.PolicyDocument.Statement);
    const ofModel = statements.filter(({ Resource }) => JSON.stringify(Resource).includes("s3:::models"));
    const inS3 = "model" in variants[variant];
    expect(ofModel.map(({ Action }) => Action).toSorted((a, b) => a.localeCompare(b))).toEqual(
      inS3 ? [...Array(3).fill("s3:GetObject"), ...Array(3).fill("s3:ListBucket")] : [],
    );
  });

  it("pulls images and models to the instances' own disks where they have any", () => {
    const kind = variants[variant];
    const managed = Object.values(template().findResources("AWS::ECS::CapacityProvider"))
      .map(({ Properties }) => Properties.ManagedInstancesProvider?.InstanceLaunchTemplate.LocalStorageConfiguration)
      .filter(Boolean);
    expect(managed).toEqual("workers" in kind ? [] : Array(2).fill({ UseLocalStorage: true }));
  });

  it("puts out what the command that makes API keys asks for", () => {
    const outputs = Object.keys(template().toJSON().Outputs);
    expect(outputs).toEqual(
      expect.arrayContaining(["BucketName", "QueueUrl", "DeadLetterQueueUrl", "WebhookQueueUrl", "Url"]),
    );
  });

  describe("by its roles", () => {
    const statementsOf = (role: RegExp): Statement[] =>
      policiesOf(role).flatMap(({ Properties }) => Properties.PolicyDocument.Statement);
    const roles = {
      api: /^Api.*Role/,
      upkeep: /^Upkeep/,
      worker: /^WorkersTaskTaskRole/,
      sender: /^WebhooksTaskTaskRole/,
    };
    type Role = keyof typeof roles;
    const bucket = () => idOf("AWS::S3::Bucket", /^StorageBucket/);
    const idOf = (type: string, name: RegExp) => {
      const [id = "", ...others] = Object.keys(template().findResources(type)).filter((each) => name.test(each));
      expect(others).toEqual([]);
      return id;
    };
    /** Names of the keys at which a role may do something. */
    const reach = (role: Role, action: string) =>
      Object.entries(objects)
        .filter(([, key]) => mayDo(statementsOf(roles[role]), action, `${bucket()}/${key}`))
        .map(([name]) => name);

    it.each(["s3:GetObject", "s3:PutObject", "s3:DeleteObject"])(
      "the sender of webhooks reaches events, settings and the probe by %s, and of documents, jobs and results nothing",
      (action) => {
        expect(reach("sender", action).sort()).toEqual(["disabledWebhook", "probe", "webhookEvent", "webhookKeyring"]);
      },
    );

    it("the sender of webhooks may list no tenant, no documents and no jobs", () => {
      const list = (prefix: string) => mayList(statementsOf(roles.sender), bucket(), prefix);
      expect(["t/acme/j/1/webhook/", "w/acme/disabled/", "probe/"].map(list)).toEqual([true, true, true]);
      const refused = ["", "t/", "t/acme/", "t/acme/j/", "t/acme/j/1/", "t/acme/dx/", "active/", "k/", "u/"];
      expect(refused.filter(list)).toEqual([]);
    });

    it("a worker reaches everything but API keys and uploads", () => {
      const out = Object.keys(objects).filter((name) => !reach("worker", "s3:GetObject").includes(name));
      expect(out.sort()).toEqual(["apiKey", "apiKeyUse", "upload", "uploadInfo"]);
      expect(["k/", "u/", "", "t"].filter((prefix) => mayList(statementsOf(roles.worker), bucket(), prefix))).toEqual(
        [],
      );
    });

    it.each([
      ["api", ["Jobs", "Webhooks"], []],
      ["upkeep", ["Jobs", "Webhooks"], []],
      ["worker", ["Jobs", "Webhooks"], ["Jobs", "JobsDeadLetters", "Webhooks"]],
      ["sender", ["Webhooks"], ["Webhooks"]],
    ] as const)("the %s sends to %j and takes from %j, of the three queues", (role, sends, takes) => {
      const may = (action: string) =>
        ["Jobs", "JobsDeadLetters", "Webhooks"].filter((name) =>
          mayDo(statementsOf(roles[role]), action, idOf("AWS::SQS::Queue", new RegExp(`^Queues${name}[0-9A-F]{8}$`))),
        );
      expect(may("sqs:SendMessage")).toEqual(sends);
      expect(may("sqs:ReceiveMessage")).toEqual(takes);
      expect(may("sqs:PurgeQueue")).toEqual([]);
    });

    it.each(Object.keys(roles) as Role[])(
      "the %s may not touch old versions, the bucket's settings or other buckets",
      (role) => {
        const actions = ["s3:GetObjectVersion", "s3:DeleteObjectVersion", "s3:PutBucketPolicy", "s3:PutObjectAcl"];
        const resources = [bucket(), `${bucket()}/t/acme/j/1/result.json`];
        const may = resources.flatMap((to) => actions.filter((action) => mayDo(statementsOf(roles[role]), action, to)));
        expect(may).toEqual([]);
        const logs = idOf("AWS::S3::Bucket", /^StorageAccessLogs/);
        expect(mayDo(statementsOf(roles[role]), "s3:GetObject", `${logs}/x`)).toBe(false);
      },
    );
  });

  it("scales by the numbers that the simulator has chosen", () => {
    const [tracking] = Object.values(
      template().findResources("AWS::ApplicationAutoScaling::ScalingPolicy", {
        Properties: { PolicyName: "backlog-gpu-seconds-per-worker" },
      }),
    );
    expect(tracking?.Properties.TargetTrackingScalingPolicyConfiguration).toMatchObject({
      TargetValue: scalingDefaults.targetSeconds,
      ScaleOutCooldown: scalingDefaults.scaleOutCooldownSeconds,
      ScaleInCooldown: scalingDefaults.scaleInCooldownSeconds,
    });
    template().hasResourceProperties("AWS::ApplicationAutoScaling::ScalingPolicy", {
      StepScalingPolicyConfiguration: { Cooldown: scalingDefaults.firstWorkerCooldownSeconds },
    });
    const { onDemandBase, spotWeight } = scalingDefaults;
    if ("workers" in variants[variant]) {
      template().hasResourceProperties("AWS::AutoScaling::AutoScalingGroup", {
        MixedInstancesPolicy: {
          InstancesDistribution: {
            OnDemandBaseCapacity: onDemandBase,
            OnDemandPercentageAboveBaseCapacity: Math.round(100 / (1 + spotWeight)),
          },
        },
      });
    } else {
      template().hasResourceProperties("AWS::ECS::Service", {
        DesiredCount: 0,
        CapacityProviderStrategy: [
          Match.objectLike({ Base: onDemandBase, Weight: 1 }),
          Match.objectLike({ Weight: spotWeight }),
        ],
      });
    }
  });

  it("keeps every log for a limited time", () => {
    const groups = Object.values(template().findResources("AWS::Logs::LogGroup"));
    expect(groups.length).toBeGreaterThanOrEqual(4);
    for (const { Properties } of groups) expect(Properties.RetentionInDays).toBe(30);
  });

  it("sends its alarms and the budget's warnings to one topic", () => {
    template().resourceCountIs("AWS::SNS::Topic", 1);
    for (const { Properties } of Object.values(template().findResources("AWS::CloudWatch::Alarm"))) {
      expect(Properties.AlarmActions).toHaveLength(1);
    }
    template().hasResourceProperties("AWS::Budgets::Budget", {
      Budget: { BudgetLimit: { Amount: 1000, Unit: "USD" } },
      NotificationsWithSubscribers: [Match.anyValue(), Match.anyValue()],
    });
  });

  it("is bound to no account, no region and no availability zone", () => {
    const text = JSON.stringify(template().toJSON());
    expect(text).not.toMatch(/"(us|eu|ap)-[a-z]+-\d[a-z]?"|dummy1a/);
  });

  it.skipIf(!existsSync(CFN_LINT))("passes cfn-lint", { timeout: 120_000 }, async () => {
    // W3005: the CDK writes dependencies that a reference implies already.
    const args = ["--ignore-checks", "W3005", "--regions", "us-east-1", "eu-west-1", "--template", files[variant]];
    const { stdout } = await promisify(execFile)(CFN_LINT, args).catch((error) => error);
    expect(stdout).toBe("");
  });
});
