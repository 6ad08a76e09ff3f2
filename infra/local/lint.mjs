import { existsSync } from "node:fs";
import { layoutProblems } from "./layout.mjs";
import { sourceFiles } from "./source-files.mjs";
import { BUILD, PROJECT_ENV, run } from "./step.mjs";

const CLANG_FORMAT_MAJOR = 14;

/** Runs every check, shows what fails and resolves to the exit status. */
export async function lint() {
  const failed = [];
  const report = (name, problems) => {
    if (problems !== "") failed.push(name);
    console.log(problems === "" ? `ok      ${name}` : `${problems.trimEnd()}\nFAILED  ${name}`);
  };
  const check = async (name, command, args) => {
    const { status, output } = await run(command, args, { env: PROJECT_ENV });
    report(name, status === 0 ? "" : output || `exit status ${status}`);
  };

  const checkIfInstalled = async (name, args) => {
    const program = `${BUILD}/venv/bin/${name}`;
    if (existsSync(program)) await check(name, program, args);
    else console.log(`skipped ${name} (not installed here, and no PyPI)`);
  };

  await check("biome", "biome", ["check", "--error-on-warnings", "."]);
  await check("oxlint", "oxlint", ["--type-aware", "--deny-warnings"]);
  await check("tsc", "tsc", ["-p", "."]);
  await check("knip", "knip", []);
  const files = await sourceFiles();
  const formatter = await clangFormat();
  if (formatter === null) console.log(`skipped clang-format (no clang-format ${CLANG_FORMAT_MAJOR} here, and no PyPI)`);
  else
    await check("clang-format", formatter, [
      "--dry-run",
      "-Werror",
      ...files.filter((file) => /\.(cpp|h|cu|cuh)$/.test(file)),
    ]);
  await checkIfInstalled("hadolint", ["infra/containers/Dockerfile"]);
  await checkIfInstalled("check-jsonschema", [
    "--builtin-schema",
    "vendor.compose-spec",
    "infra/containers/compose.yaml",
  ]);
  report("layout", layoutProblems(files).join("\n"));
  return failed.length === 0 ? 0 : 1;
}

/** Every major version formats differently, so only one will do. */
async function clangFormat() {
  const candidates = [`${BUILD}/venv/bin/clang-format`, "clang-format", `clang-format-${CLANG_FORMAT_MAJOR}`];
  for (const candidate of candidates) {
    const { status, output } = await run(candidate, ["--version"]);
    if (status === 0 && output.includes(`version ${CLANG_FORMAT_MAJOR}.`)) return candidate;
  }
  return null;
}
