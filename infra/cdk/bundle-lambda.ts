import { cp, mkdir, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** What the api reads of a model: never its weights. */
const isForTokens = (file: string) => /\.(json|model|jinja)$/.test(file) && !file.endsWith(".index.json");

/**
 * Puts the code of the functions into `folder`: one bundle an entry, the tokenizer's native library for Linux on x64,
 * and the model's tokenizer at the same relative path as in the repository.
 */
export async function bundleLambda({ folder, model }: { folder: string; model: string }): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await build({
    entryPoints: { lambda: join(ROOT, "api/lambda.ts"), upkeep: join(ROOT, "api/upkeep.ts") },
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node24",
    sourcemap: true,
    sourcesContent: false,
    external: ["tokenizers"],
    // Packages in CommonJS inside the bundle call require, __filename and __dirname.
    banner: {
      js: [
        'import { createRequire as gnomonRequire } from "node:module";',
        'import { fileURLToPath as gnomonPath } from "node:url";',
        "const require = gnomonRequire(import.meta.url);",
        "const __filename = gnomonPath(import.meta.url);",
        'const __dirname = gnomonPath(new URL(".", import.meta.url));',
      ].join("\n"),
    },
    logLevel: "warning",
  });
  const tokenizers = dirname(createRequire(import.meta.url).resolve("tokenizers/package.json"));
  for (const file of ["package.json", "index.js", "LICENSE", "tokenizers.linux-x64-gnu.node"]) {
    await cp(join(tokenizers, file), join(folder, "node_modules/tokenizers", file));
  }
  const source = join(ROOT, model);
  await cp(source, join(folder, model), {
    recursive: true,
    filter: (path) => path === source || (dirname(path) === source && isForTokens(basename(path))),
  });
}
