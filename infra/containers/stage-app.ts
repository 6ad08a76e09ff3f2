import { existsSync } from "node:fs";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isModelFile, type ModelPart, parseModelSource } from "../../api/contract/model-source.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

type Options = {
  folder: string;
  /** A model directory, relative to the repository; or one in S3, of which nothing is needed yet. */
  model: string;
  /** The engine and its weights as well, for workers. The addon must have been built. */
  engine?: boolean;
};

type Locked = { dev?: boolean; optional?: boolean; devOptional?: boolean };

/** Sources that run in production: TypeScript as it is, since Node 24 runs it. */
const SOURCES = ["api", "worker"];
/** Of native/ the TypeScript above the engine: its face, and the tokenizer. */
const NATIVE_SOURCE = /^\/(prompt(\/|$)|[\w-]+\.ts$)/;
/** What nothing reads at run time. */
const NEEDLESS = /\.(d\.ts|d\.mts|d\.cts|map|md|markdown)$|\/(test|tests|__tests__|examples?|\.github)(\/|$)/;
/** A model's terms go where it goes. */
const isShipped = (name: string, part: ModelPart) =>
  isModelFile(name, part) || /^(licen[cs]e|notice|use_policy)/i.test(name);
/** The tokenizer's package carries a library for every platform. */
const FOREIGN_TOKENIZER = /tokenizers\.(?!linux-x64-gnu).*\.node$/;

/**
 * Puts into `folder` what an image or a function runs: sources, production packages as package-lock.json names them,
 * and the model, all at the same relative paths as in the repository. Needs an installed node_modules, and no network.
 */
export async function stageApp({ folder, model, engine = false }: Options): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const { name, version, type } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
  await writeFile(join(folder, "package.json"), JSON.stringify({ name, version, private: true, type }));
  for (const source of SOURCES) await cp(join(ROOT, source), join(folder, source), { recursive: true });
  await stageNative(folder, model, engine);
  await stagePackages(folder);
  await cp(join(ROOT, "infra/containers/health.mjs"), join(folder, "health.mjs"));
  // Makes API keys: `node infra/local/keys.ts create`.
  await cp(join(ROOT, "infra/local/keys.ts"), join(folder, "infra/local/keys.ts"));
  await cp(join(ROOT, ".licenses"), join(folder, ".licenses"), { recursive: true });
  // Lambda loads JavaScript only.
  for (const entry of ["lambda", "upkeep"]) {
    await writeFile(join(folder, `${entry}.mjs`), `export { handler } from "./api/${entry}.ts";\n`);
  }
}

async function stageNative(folder: string, model: string, engine: boolean): Promise<void> {
  const native = join(ROOT, "native");
  await cp(native, join(folder, "native"), {
    recursive: true,
    filter: (path) => path === native || NATIVE_SOURCE.test(path.slice(native.length)),
  });
  if (engine) await cp(join(ROOT, ".build/native/gnomon.node"), join(folder, ".build/native/gnomon.node"));
  if (parseModelSource(model)?.kind !== "folder") return;
  const source = join(ROOT, model);
  if (model === "" || !existsSync(join(source, "config.json")))
    throw new Error(`\`${model}\` is no model: it has no config.json`);
  const part = engine ? "all" : "tokenizer";
  await cp(source, join(folder, model), {
    recursive: true,
    filter: (path) => path === source || (dirname(path) === source && isShipped(basename(path), part)),
  });
}

async function stagePackages(folder: string): Promise<void> {
  const lock = JSON.parse(await readFile(join(ROOT, "package-lock.json"), "utf8"));
  const packages = Object.entries(lock.packages as Record<string, Locked>)
    .filter(([path, { dev, optional, devOptional }]) => path !== "" && !dev && !optional && !devOptional)
    .map(([path]) => path)
    .filter((path) => !BUILD_ONLY.has(path));
  for (const path of packages) {
    const nested = join(ROOT, path, "node_modules");
    await cp(join(ROOT, path), join(folder, path), {
      recursive: true,
      // What is nested has an entry of its own.
      filter: (file) => file !== nested && !NEEDLESS.test(file.slice(ROOT.length)) && !FOREIGN_TOKENIZER.test(file),
    });
  }
}

/** Headers to build the addon with. */
const BUILD_ONLY = new Set(["node_modules/node-addon-api", "node_modules/node-api-headers"]);
