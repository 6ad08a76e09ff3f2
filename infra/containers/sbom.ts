// What is in an image: `node infra/containers/sbom.ts ROOT > sbom.json`, ROOT being a root of build-root.sh or an unpacked
// image. CycloneDX 1.6: Debian packages by dpkg's own record, npm packages by what lies in /app, Node, NVIDIA's wheels.
import { glob, readFile } from "node:fs/promises";
import { join } from "node:path";

type Component = { type: "library" | "platform"; name: string; version: string; purl: string; licenses?: object[] };

async function text(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}

async function debianPackages(root: string): Promise<Component[]> {
  const record = await text(join(root, "var/lib/dpkg/status"));
  return record.split("\n\n").flatMap((entry) => {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(entry)?.[1];
    const [name, version, arch] = [field("Package"), field("Version"), field("Architecture")];
    if (!name || !version || !field("Status")?.endsWith(" installed")) return [];
    const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${arch}&distro=bookworm`;
    return [{ type: "library", name, version, purl }];
  });
}

async function npmPackages(root: string): Promise<Component[]> {
  const found: Component[] = [];
  // Only a package's own file: some have further ones inside, which name no version.
  for await (const file of glob("app/**/node_modules/{*,@*/*}/package.json", { cwd: root })) {
    const { name, version, license } = JSON.parse(await text(join(root, file)));
    if (!name || !version) continue;
    const purl = `pkg:npm/${name.replace(/^@/, "%40")}@${version}`;
    found.push({ type: "library", name, version, purl, ...(license && { licenses: [{ expression: license }] }) });
  }
  return found;
}

async function wheels(root: string): Promise<Component[]> {
  const found: Component[] = [];
  for await (const folder of glob("opt/gnomon-cuda/**/*.dist-info", { cwd: root })) {
    const [, name, version] = /([^/]+)-([^-/]+)\.dist-info$/.exec(folder) ?? [];
    if (name && version) found.push({ type: "library", name, version, purl: `pkg:pypi/${name}@${version}` });
  }
  return found;
}

const [root] = process.argv.slice(2);
if (root === undefined) {
  console.error("usage: sbom.ts ROOT > sbom.json");
  process.exit(1);
}
const version = process.versions.node;
const node: Component = { type: "platform", name: "node", version, purl: `pkg:generic/node@${version}` };
const parts = [[node], await debianPackages(root), await npmPackages(root), await wheels(root)];
const components = parts.flat().sort((a, b) => (a.purl < b.purl ? -1 : 1));
console.log(JSON.stringify({ bomFormat: "CycloneDX", specVersion: "1.6", version: 1, components }, null, 1));
console.error(`${components.length} components`);
