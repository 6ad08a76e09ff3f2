import { availableParallelism } from "node:os";
import { BUILD, hasStamp, ROOT, step, writeStamp } from "./step.mjs";

/** The C++ test executables. */
export const RELEASE_TESTS = `${BUILD}/native/tests`;
export const SANITIZED_TESTS = `${BUILD}/sanitize/tests`;

/** The addon and the benchmarks, optimised; the C++ tests only if asked for: they take as long again. */
export function buildRelease({ tests }) {
  const targets = ["addon", "bench", ...(tests ? ["tests"] : [])];
  return build("native engine", `${BUILD}/native`, ["-DCMAKE_BUILD_TYPE=Release"], targets);
}

/** The C++ tests under AddressSanitizer and UndefinedBehaviorSanitizer. */
export function buildSanitized() {
  const options = ["-DCMAKE_BUILD_TYPE=Debug", "-DGNOMON_SANITIZE=ON", "-DGNOMON_ADDON=OFF"];
  return build("C++ tests with sanitizers", `${BUILD}/sanitize`, options, ["tests"]);
}

async function build(what, folder, options, targets) {
  const configure = ["-S", `${ROOT}/native`, "-B", folder, "-G", "Ninja", ...options];
  const stamp = `${folder}/configured-with`;
  if (!hasStamp(stamp, configure.join("\n"))) {
    await step(`configure the ${what}`, "cmake", ["--fresh", ...configure], {
      remedy: "If CMake names a missing package above, install that and run the same command again.",
    });
    writeStamp(stamp, configure.join("\n"));
  }
  // Ninja knows best whether anything changed, and asking it costs a tenth of a second.
  await step(`build the ${what}`, "ninja", ["-C", folder, "-j", String(availableParallelism()), ...targets], {
    remedy: `If the compiler or a system package has changed, remove ${folder} and run the same command again.`,
  });
}
