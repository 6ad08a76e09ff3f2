// `npm run fuzz -- --seconds 600`: builds the libFuzzer targets of the model loader and runs each for its share of the
// time. Needs clang and its runtime (on Debian: apt-get install clang libclang-rt-14-dev). Ends with 1 at the first finding.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const BUILD = `${ROOT}/.build/fuzz`;
const GOLDENS = `${ROOT}/test/native/goldens`;
const TARGETS = ["config", "safetensors", "index"] as const;

const { values } = parseArgs({ options: { seconds: { type: "string", default: "60" } } });
const secondsEach = Math.ceil(Number(values.seconds) / TARGETS.length);
process.exitCode = main();

function main(): number {
  const configure = ["-S", `${ROOT}/native`, "-B", BUILD, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"];
  const options = [
    "-DCMAKE_CXX_COMPILER=clang++",
    "-DCMAKE_C_COMPILER=clang",
    "-DGNOMON_FUZZ=ON",
    "-DGNOMON_ADDON=OFF",
  ];
  const targets = TARGETS.map((target) => `fuzz_${target}`);
  if (run("cmake", [...configure, ...options]) !== 0 || run("ninja", ["-C", BUILD, ...targets]) !== 0) return 1;
  for (const target of TARGETS) {
    const corpus = `${BUILD}/corpus/${target}`;
    mkdirSync(corpus, { recursive: true });
    addSeeds(target, corpus);
    const limits = [`-max_total_time=${secondsEach}`, "-timeout=10", "-rss_limit_mb=2048", "-max_len=16384"];
    const prefix = `-artifact_prefix=${BUILD}/finding-${target}-`;
    if (run(`${BUILD}/fuzz_${target}`, [corpus, ...limits, prefix, "-print_final_stats=1"]) !== 0) return 1;
  }
  return 0;
}

function run(command: string, args: string[]): number {
  const { status, error } = spawnSync(command, args, { stdio: "inherit" });
  if (error) console.error(`${command} cannot be run: ${error.message}`);
  return status ?? 1;
}

function addSeeds(target: (typeof TARGETS)[number], corpus: string): void {
  if (target === "config") {
    for (const entry of readdirSync(GOLDENS, { withFileTypes: true })) {
      if (entry.isDirectory()) copyFileSync(`${GOLDENS}/${entry.name}/config.json`, `${corpus}/${entry.name}`);
    }
  } else if (target === "index") {
    writeFileSync(`${corpus}/seed`, '{"metadata":{"total_size":4},"weight_map":{"a":"model-1.safetensors"}}');
  } else {
    const header = '{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}}';
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(`${corpus}/seed`, Buffer.concat([length, Buffer.from(header), Buffer.alloc(8)]));
  }
}
