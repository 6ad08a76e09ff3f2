import { App, type AppProps, Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import { GnomonStack } from "./gnomon-stack.ts";
import { parseSettings, type Settings } from "./settings.ts";

type Options = AppProps & {
  /** Where the code of the functions is, or will be by the time of `synth`; told what was chosen. */
  lambdaCode: (settings: Settings) => Promise<string>;
};

/** The app with its one stack, checked by cdk-nag at `synth`. Throws an Error that names the settings that are wrong. */
export async function createCdkApp({ lambdaCode, ...props }: Options): Promise<App> {
  const app = new App({
    ...props,
    // The newer of two behaviours, which the CDK leaves to be asked for.
    postCliContext: { "@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": true },
  });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  const settings = parseSettings((name) => app.node.tryGetContext(name));
  new GnomonStack(app, app.node.tryGetContext("stack") ?? "Gnomon", {
    settings,
    lambdaCode: await lambdaCode(settings),
    description: "Gnomon: a job API for long-context language-model work on GPUs",
  });
  return app;
}
