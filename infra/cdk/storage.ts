import { Duration, RemovalPolicy, Validations } from "aws-cdk-lib";
import { AnyPrincipal, Effect, type IGrantable, PolicyStatement } from "aws-cdk-lib/aws-iam";
import { BlockPublicAccess, Bucket, BucketEncryption, ObjectOwnership } from "aws-cdk-lib/aws-s3";
import { Construct, type IConstruct } from "constructs";
import { keys } from "../../api/contract/keys.ts";
import { asBucket } from "./as-interface.ts";
import { acknowledgeWildcards, nagName } from "./wildcards.ts";

type Props = { retentionDays: number };

/** Patterns of the objects that only change by compare-and-swap, or are written once and never again. */
const swapped = [
  keys.jobState("*", "*"),
  keys.batchState("*", "*"),
  keys.idempotency("*", "*"),
  keys.webhookEvent("*", "*", "*"),
  keys.webhookKeyring("*"),
  keys.apiKey("*", "*"),
];
const writtenOnce = [keys.jobResult("*", "*"), keys.documentInfo("*", "*"), keys.fileInfo("*", "*")];

/** The bucket that is the whole database. */
export class Storage extends Construct {
  readonly bucket: Bucket;

  constructor(scope: Construct, id: string, { retentionDays }: Props) {
    super(scope, id);
    const common = {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      encryption: BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      removalPolicy: RemovalPolicy.RETAIN,
    };
    const accessLogs = new Bucket(this, "AccessLogs", {
      ...common,
      lifecycleRules: [{ expiration: Duration.days(90) }],
    });
    Validations.of(accessLogs).acknowledge({
      id: "AwsSolutions-S1",
      reason: "It holds access logs; logging access to them would feed itself.",
    });
    this.bucket = new Bucket(this, "Bucket", {
      ...common,
      serverAccessLogsBucket: asBucket(accessLogs),
      // What was deleted or overwritten by mistake can be had back for a week.
      versioned: true,
      lifecycleRules: [
        { id: "jobs-and-documents", prefix: "t/", expiration: Duration.days(retentionDays) },
        { id: "uploads", prefix: keys.uploads, expiration: Duration.days(2) },
        { id: "probes", prefix: keys.probes, expiration: Duration.days(1) },
        {
          id: "leftovers",
          abortIncompleteMultipartUploadAfter: Duration.days(1),
          noncurrentVersionExpiration: Duration.days(7),
          expiredObjectDeleteMarker: true,
        },
      ],
    });
    this.requireConditions(swapped, { "s3:if-match": "true", "s3:if-none-match": "true" });
    this.requireConditions(writtenOnce, { "s3:if-none-match": "true" });
  }

  /** Refuses a write that has none of these conditions, whoever makes it: a lost update cannot happen by mistake. */
  private requireConditions(patterns: string[], absent: Record<string, string>): void {
    this.bucket.addToResourcePolicy(
      new PolicyStatement({
        effect: Effect.DENY,
        principals: [new AnyPrincipal()],
        actions: ["s3:PutObject"],
        resources: patterns.map((pattern) => this.bucket.arnForObjects(pattern)),
        // The parts of a multipart upload carry no condition; its completion does.
        conditions: { Null: absent, Bool: { "s3:ObjectCreationOperation": "true" } },
      }),
    );
  }

  /** Reading, writing, deleting and listing below these prefixes, and nothing else. */
  grantPrefixes(grantee: IGrantable & IConstruct, prefixes: string[]): void {
    const patterns = prefixes.map((prefix) => `${prefix}*`);
    grantee.grantPrincipal.addToPrincipalPolicy(
      new PolicyStatement({
        actions: ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
        resources: patterns.map((pattern) => this.bucket.arnForObjects(pattern)),
      }),
    );
    acknowledgeWildcards(
      grantee,
      "Objects are made all the time; the prefix is as narrow as a permission of theirs can be.",
      patterns.map((pattern) => `${nagName(this.bucket)}.Arn>/${pattern}`),
    );
    grantee.grantPrincipal.addToPrincipalPolicy(
      new PolicyStatement({
        actions: ["s3:ListBucket"],
        resources: [this.bucket.bucketArn],
        conditions: { StringLike: { "s3:prefix": patterns } },
      }),
    );
  }
}
