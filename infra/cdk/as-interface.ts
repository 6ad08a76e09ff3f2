import type { IVpc, Vpc } from "aws-cdk-lib/aws-ec2";
import type { Cluster, ICluster } from "aws-cdk-lib/aws-ecs";
import type { Bucket, IBucket } from "aws-cdk-lib/aws-s3";

// The CDK's classes do not fit its own interfaces under exactOptionalPropertyTypes.
export const asVpc = (vpc: Vpc): IVpc => vpc as IVpc;
export const asCluster = (cluster: Cluster): ICluster => cluster as ICluster;
export const asBucket = (bucket: Bucket): IBucket => bucket as IBucket;
