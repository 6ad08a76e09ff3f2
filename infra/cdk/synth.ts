// `npm run synth`: collects the functions' code and writes the CloudFormation template, without an account or a network.

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { stageApp } from "../containers/stage-app.ts";
import { createCdkApp } from "./create-app.ts";

const BUILD = fileURLToPath(new URL("../../.build", import.meta.url));

/** `-c name=value`, as the CDK's own command line takes it. */
function contextOf(args: string[]): Record<string, string> {
  const { values } = parseArgs({ args, options: { context: { type: "string", short: "c", multiple: true } } });
  return Object.fromEntries((values.context ?? []).map((pair) => pair.split(/=(.*)/s, 2) as [string, string]));
}

try {
  // The CDK's command line says where it wants the result.
  const outdir = process.env.CDK_OUTDIR ?? `${BUILD}/cdk.out`;
  const app = await createCdkApp({
    outdir,
    context: contextOf(process.argv.slice(2)),
    lambdaCode: async ({ model }) => {
      await stageApp({ folder: `${BUILD}/lambda`, model });
      return `${BUILD}/lambda`;
    },
  });
  const { stacks } = app.synth();
  for (const { templateFullPath } of stacks) console.error(templateFullPath);
} catch (error) {
  // What cdk-nag found has been printed, each with its place; a stack trace adds nothing.
  console.error((error as Error).message);
  process.exit(1);
}
