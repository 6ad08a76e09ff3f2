import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const FILE = fileURLToPath(new URL("../../../infra/local/keys.ts", import.meta.url));

async function keys(directory: string, ...args: string[]) {
  const env = { ...process.env, GNOMON_STATE_DIR: directory };
  const ran = await promisify(execFile)(process.execPath, [FILE, ...args], { env }).catch((error) => error);
  return { status: ran.code ?? 0, stdout: String(ran.stdout), stderr: String(ran.stderr) };
}

test("a key is shown once, listed, and revoked", async () => {
  await using directory = await temporaryDirectory();
  const made = await keys(directory.path, "create", "--tenant", "acme", "--scopes", "submit,read", "--name", "nightly");
  const key = made.stdout.trim();
  const [, id, secret] = /^gnk_acme_([0-9a-f]{16})_(\S{43})$/.exec(key) ?? [];
  expect(made.stderr).toContain(`Key ${id} of tenant acme, scopes submit, read.`);

  const listed = await keys(directory.path, "list");
  expect(listed.stdout).toMatch(new RegExp(`${id} +acme +submit,read +\\S+ +- +- +- +nightly`));
  expect(listed.stdout).not.toContain(secret);

  expect((await keys(directory.path, "revoke", id ?? "")).stdout).toContain("is revoked");
  expect((await keys(directory.path, "list")).stdout).toMatch(/acme +submit,read +\S+ +- +- +\d{4}-\S+ +nightly/);
  for (const file of await readdir(directory.path, { recursive: true, withFileTypes: true })) {
    if (file.isFile()) expect(await readFile(join(file.parentPath, file.name), "latin1")).not.toContain(secret);
  }
});

test.each([
  [["create", "--tenant", "Not A Tenant"], /--tenant: must be/],
  [["create", "--scopes", "root"], /--scopes: must be one of `submit`, /],
  [["create", "--expires-days", "soon"], /--expires-days: /],
  [["revoke", "0000"], /there is no key 0000/],
  [["revoke"], /usage: /],
  [["destroy"], /usage: /],
  [["create", "--force"], /^Unknown option '--force'\nusage: /],
])("%j says what is wrong", async (args, expected) => {
  await using directory = await temporaryDirectory();
  const { status, stderr } = await keys(directory.path, ...args);
  expect(stderr).toMatch(expected);
  expect(status).toBe(2);
});
