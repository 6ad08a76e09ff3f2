// What the statements of a synthesised template allow at one object of one bucket, evaluated as IAM does it: wildcards in
// actions and resources, `*` over separators too. All statements must be of kind Allow.
type Reference = string | { "Fn::GetAtt": [string, string] } | { Ref: string } | { "Fn::Join": [string, Reference[]] };
export type Statement = {
  Effect: "Allow" | "Deny";
  Action: string | string[];
  Resource: Reference | Reference[];
  Condition?: Record<string, Record<string, string | string[]>>;
};

/** With the logical id in place of what only a deployment knows. */
function text(reference: Reference): string {
  if (typeof reference === "string") return reference;
  if ("Fn::Join" in reference) return reference["Fn::Join"][1].map(text).join(reference["Fn::Join"][0]);
  return "Ref" in reference ? reference.Ref : reference["Fn::GetAtt"][0];
}

function matches(pattern: string, value: string): boolean {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`).test(value);
}

const granted = (statements: Statement[], action: string, resource: string): Statement[] => {
  if (statements.some(({ Effect }) => Effect !== "Allow")) throw new Error("a Deny, which is not evaluated here");
  return statements.filter(
    ({ Action, Resource }) =>
      [Action].flat().some((pattern) => matches(pattern.toLowerCase(), action.toLowerCase())) &&
      [Resource].flat().some((pattern) => matches(text(pattern), resource)),
  );
};

/** Of `resource` by its logical id, or `ID/key`; a statement with a condition counts as if it held. */
export const mayDo = (statements: Statement[], action: string, resource: string): boolean =>
  granted(statements, action, resource).length > 0;

/** Whether the keys of `bucket` that begin with `prefix` may be listed. */
export const mayList = (statements: Statement[], bucket: string, prefix: string): boolean =>
  granted(statements, "s3:ListBucket", bucket).some(({ Condition }) => {
    const patterns = Condition?.StringLike?.["s3:prefix"] ?? "*";
    return [patterns].flat().some((pattern) => matches(pattern, prefix));
  });
