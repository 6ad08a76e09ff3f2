import { z } from "zod";
import { parseModelSource } from "../../api/contract/model-source.ts";
import { scalingDefaults } from "../scaling/policy.ts";

const count = z.coerce.number().int().min(0);
const imageUri = z.string().regex(/^[^/:]+(\/[^/:]+)*:[^/:]+$/, "must be repository:tag");

/** What a deployment may choose, each as `-c name=value` or in cdk.json's context. */
export const Settings = z.object({
  /** `lambda`: nothing runs while nobody asks. `fargate`: streams events, and takes bodies of more than 6 MB. */
  api: z.enum(["lambda", "fargate"]).default("lambda"),
  /** `managed`: ECS Managed Instances. `asg`: an Auto Scaling group of one's own machine image. */
  workers: z.enum(["managed", "asg"]).default("managed"),
  /** ECR repository and tag of the images that infra/containers builds. */
  api_image: imageUri.default("gnomon/api:latest"),
  worker_image: imageUri.default("gnomon/worker:latest"),
  /** A model directory inside the images, or one in S3: `s3://bucket/prefix`. */
  model: z
    .string()
    .refine((text) => parseModelSource(text) !== null, "must be a folder or s3://bucket/prefix")
    .default("native/models/needle"),
  /** Of the load balancer; needed for `api=fargate`. */
  certificate_arn: z.string().optional(),
  instance_types: z
    .string()
    .default("g6e.2xlarge,g6e.4xlarge,g6e.8xlarge")
    .transform((list) => list.split(",")),
  /** AMI of `workers=asg`, by the name of an SSM parameter; default: the ECS image for GPUs. */
  machine_image_parameter: z
    .string()
    .default("/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id"),
  max_workers: count.default(8),
  /** Tasks that run on On-Demand instances before any runs on Spot, where there is work at all. */
  on_demand_base: count.default(scalingDefaults.onDemandBase),
  /** Of the tasks above the base: so many on Spot for each one On-Demand. */
  spot_weight: count.default(scalingDefaults.spotWeight),
  /** GPU-seconds of waiting work that one worker may have: roughly the wait that is accepted. */
  target_backlog_gpu_seconds: count.default(scalingDefaults.targetSeconds),
  /** How fast the GPU is beside the one that the estimate was measured on (an H200). */
  gpu_speed: z.coerce.number().positive().default(1),
  /** Jobs, results and documents go so long after they were made. */
  retention_days: count.min(15, "must exceed the longest life of a job, 14 days").default(30),
  log_retention: z.enum(["ONE_WEEK", "ONE_MONTH", "THREE_MONTHS", "ONE_YEAR"]).default("ONE_MONTH"),
  monthly_budget_usd: count.default(1_000),
  /** Gets the alarms and the warnings of the budget. */
  alarm_email: z.email().optional(),
});
export type Settings = z.infer<typeof Settings>;

/** Throws an Error with a line for each setting that is wrong. */
export function parseSettings(get: (name: string) => unknown): Settings {
  const given = Object.fromEntries(Object.keys(Settings.shape).map((name) => [name, get(name)]));
  const parsed = Settings.safeParse(given);
  if (!parsed.success) {
    const lines = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
    throw new Error(`the deployment's settings are not valid\n  ${lines.join("\n  ")}`);
  }
  if (parsed.data.api === "fargate" && parsed.data.certificate_arn === undefined) {
    throw new Error("certificate_arn: needed where api is fargate; a certificate of AWS Certificate Manager");
  }
  return parsed.data;
}
