import { type CfnElement, Stack, Validations } from "aws-cdk-lib";
import type { IConstruct } from "constructs";

/** How cdk-nag names a resource of the same stack in a finding. */
export const nagName = (resource: IConstruct): string =>
  `<${Stack.of(resource).getLogicalId(resource.node.defaultChild as CfnElement)}`;

/** Says why these resource patterns in the policies below `scope` may end in a wildcard. */
export function acknowledgeWildcards(scope: IConstruct, reason: string, patterns: string[]): void {
  for (const pattern of patterns) {
    Validations.of(scope).acknowledge({ id: `AwsSolutions-IAM5[Resource::${pattern}]`, reason });
  }
}
