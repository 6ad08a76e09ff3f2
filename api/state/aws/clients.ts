import { S3Client } from "@aws-sdk/client-s3";
import { SQSClient } from "@aws-sdk/client-sqs";
import { limits } from "../../contract/limits.ts";

type Options = {
  region: string;
  /** Of an S3- or SQS-compatible server; undefined for AWS. */
  endpoint: string | undefined;
  /** Requests at once; what is more waits. */
  connections?: number;
};

const connectionTimeout = 3_000;

const agents = (maxSockets: number) => ({
  httpAgent: { keepAlive: true, maxSockets },
  httpsAgent: { keepAlive: true, maxSockets },
});

export const createS3Client = ({ region, endpoint, connections = 50 }: Options): S3Client =>
  new S3Client({
    region,
    maxAttempts: limits.s3Tries,
    requestHandler: { connectionTimeout, socketTimeout: limits.s3TryMs, ...agents(connections) },
    // Checksums only where S3 demands them: the SDK would put one of an empty body into presigned PUT URLs, and servers
    // other than AWS refuse the trailers.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    ...(endpoint !== undefined && { endpoint, forcePathStyle: true }),
  });

export const createSqsClient = ({ region, endpoint }: Options): SQSClient =>
  new SQSClient({
    region,
    maxAttempts: 4,
    // Above the longest long poll.
    requestHandler: { connectionTimeout, socketTimeout: 30_000 },
    // A server of its own may name its queues by an address that only it can resolve.
    ...(endpoint !== undefined && { endpoint, useQueueUrlAsEndpoint: false }),
  });
