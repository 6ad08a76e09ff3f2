import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const SBOM = fileURLToPath(new URL("../../../infra/containers/sbom.ts", import.meta.url));

it("names the packages of Debian, npm and NVIDIA that a root holds, and none that was removed", async () => {
  await using root = await temporaryDirectory();
  const files = {
    "var/lib/dpkg/status": [
      "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9+deb12u10\n",
      "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n",
    ].join("\n"),
    "app/node_modules/@scope/a/package.json": '{"name": "@scope/a", "version": "1.2.3", "license": "MIT"}',
    "app/node_modules/@scope/a/dist/package.json": '{"type": "module"}',
    "app/node_modules/b/node_modules/c/package.json": '{"name": "c", "version": "2.0.0"}',
    "opt/gnomon-cuda/lib/python3.11/site-packages/nvidia_cublas-13.1.0.3.dist-info/License.txt": "",
  };
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root.path, path)), { recursive: true });
    await writeFile(join(root.path, path), content);
  }
  const { stdout } = await promisify(execFile)(process.execPath, [SBOM, root.path]);
  const { bomFormat, components } = JSON.parse(stdout);
  expect(bomFormat).toBe("CycloneDX");
  expect(components.map(({ purl }: { purl: string }) => purl)).toEqual([
    "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=bookworm",
    `pkg:generic/node@${process.versions.node}`,
    "pkg:npm/%40scope/a@1.2.3",
    "pkg:npm/c@2.0.0",
    "pkg:pypi/nvidia_cublas@13.1.0.3",
  ]);
  expect(components[2].licenses).toEqual([{ expression: "MIT" }]);
});
