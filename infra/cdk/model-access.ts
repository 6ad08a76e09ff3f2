import { type IGrantable, PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { IConstruct } from "constructs";
import { parseModelSource } from "../../api/contract/model-source.ts";
import { acknowledgeWildcards } from "./wildcards.ts";

/** Reading a model that lies in S3. Of a bucket with a key of KMS, the key's own policy must let these roles decrypt. */
export function grantModel(grantee: IGrantable & IConstruct, model: string): void {
  const source = parseModelSource(model);
  if (source?.kind !== "s3") return;
  const { bucket, prefix } = source;
  const files = `arn:aws:s3:::${bucket}/${prefix}*`;
  const policy = grantee.grantPrincipal;
  policy.addToPrincipalPolicy(new PolicyStatement({ actions: ["s3:GetObject"], resources: [files] }));
  policy.addToPrincipalPolicy(
    new PolicyStatement({
      actions: ["s3:ListBucket"],
      resources: [`arn:aws:s3:::${bucket}`],
      conditions: { StringEquals: { "s3:prefix": prefix } },
    }),
  );
  acknowledgeWildcards(grantee, "The files of one model, and no others.", [files]);
}
