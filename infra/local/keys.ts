// `npm run keys`: makes, lists and revokes API keys in the state that the environment names.
import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import type { ZodSafeParseResult } from "zod";
import { formatTable } from "../../api/client/command/table.ts";
import { LOCAL_TENANT, Scope, Tenant } from "../../api/contract/access.ts";
import { parseEnv, StateEnv } from "../../api/contract/env.ts";
import { AppError } from "../../api/contract/errors.ts";
import { describeIssues } from "../../api/contract/issues.ts";
import { type ApiKey, type ApiKeyStore, createApiKeyStore } from "../../api/state/api-key-store.ts";
import { openState } from "../../api/state/open-state.ts";

const USAGE = `usage: npm run keys -- create [--tenant NAME] [--scopes submit,read,admin,metrics] [--name TEXT] [--expires-days N]
       npm run keys -- list [--tenant NAME]
       npm run keys -- revoke ID`;

class UsageError extends Error {}

const OPTIONS = {
  tenant: { type: "string" },
  scopes: { type: "string", default: "submit,read" },
  name: { type: "string", default: "" },
  "expires-days": { type: "string" },
} as const;

async function main(args: string[]): Promise<void> {
  const { values, positionals } = parse(args);
  const [command, ...rest] = positionals;
  const tenant = values.tenant === undefined ? undefined : checked(Tenant.safeParse(values.tenant), "--tenant");
  const scopes = checked(Scope.array().min(1).safeParse(values.scopes.split(",")), "--scopes");
  const days = Number(values["expires-days"] ?? 0);
  if (!(days >= 0)) throw new UsageError("--expires-days: must be a number of days");
  const [id] = rest;
  const wanted = command === "revoke" ? 1 : 0;
  if (!["create", "list", "revoke"].includes(command ?? "") || rest.length !== wanted) throw new UsageError(USAGE);

  const state = await openState(parseEnv(StateEnv, process.env), { now: Date.now, newId: randomUUID });
  try {
    const apiKeys = createApiKeyStore({ objects: state.objects, now: Date.now });
    if (command === "list") return list(await apiKeys.list(tenant));
    if (command === "revoke") return await revoke(apiKeys, id ?? "");
    const expiresMs = days > 0 ? Date.now() + days * 86_400_000 : null;
    const made = await apiKeys.create({ tenant: tenant ?? LOCAL_TENANT, name: values.name, scopes, expiresMs });
    console.log(made.key);
    console.error(
      `Key ${made.record.id} of tenant ${made.record.tenant}, scopes ${scopes.join(", ")}. It is shown this once: keep it safe.`,
    );
  } finally {
    await state.close();
  }
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, options: OPTIONS, allowPositionals: true });
  } catch (error) {
    // What it says beyond the first sentence is of arguments that begin with a hyphen.
    const [why] = String(error instanceof Error ? error.message : error).split(". ");
    throw new UsageError(`${why}\n${USAGE}`);
  }
}

function checked<T>(parsed: ZodSafeParseResult<T>, option: string): T {
  if (parsed.success) return parsed.data;
  throw new UsageError(`${option}: ${describeIssues(parsed.error.issues)[0]?.detail}`);
}

function list(found: ApiKey[]): void {
  const when = (ms: number | null) => (ms === null ? "-" : new Date(ms).toISOString().slice(0, 16));
  const rows = [
    ["ID", "TENANT", "SCOPES", "CREATED", "LAST USED", "EXPIRES", "REVOKED", "NAME"],
    ...found.map((key) => [
      key.id,
      key.tenant,
      key.scopes.join(","),
      ...[key.created_ms, key.last_used_ms, key.expires_ms, key.revoked_ms].map(when),
      key.name,
    ]),
  ];
  console.log(formatTable(rows));
}

async function revoke(apiKeys: ApiKeyStore, id: string): Promise<void> {
  const found = (await apiKeys.list()).find((key) => key.id === id);
  if (found === undefined) throw new UsageError(`there is no key ${id}; \`npm run keys -- list\` shows them`);
  await apiKeys.revoke(found.tenant, id);
  console.log(`Key ${id} of tenant ${found.tenant} is revoked; a running service refuses it within seconds.`);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  const expected = error instanceof UsageError || error instanceof AppError;
  console.error(expected ? error.message : error);
  process.exitCode = expected ? 2 : 1;
});
