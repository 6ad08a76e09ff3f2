import { Command, InvalidArgumentError } from "@commander-js/extra-typings";
import type { ApiKey } from "../../contract/api-key.ts";
import type { Client } from "../client.ts";
import { accepted } from "../request.ts";
import { createCommand, type Run } from "./command.ts";
import { EXIT } from "./exit-status.ts";
import { forEach } from "./for-each.ts";
import { parseIds, parseNumber } from "./parse-option.ts";
import { formatTable } from "./table.ts";

const SCOPES = ["submit", "read", "admin"] as const;
type KeyScope = (typeof SCOPES)[number];
const DEFAULT_SCOPES: readonly KeyScope[] = ["submit", "read"];
const DAY_SECONDS = 86_400;

/** Over the API, with a key of scope `admin`. The first key of a service is made on its own machine. */
export const keysCommand = (run: Run) =>
  new Command("keys")
    .description("make, list and revoke API keys, with a key of scope admin")
    .addCommand(listKeys(run))
    .addCommand(createKey(run))
    .addCommand(revokeKey(run));

const listKeys = (run: Run) =>
  createCommand("list", "the keys, revoked ones too").action((options) =>
    run(options, async ({ client, terminal, json }) => {
      const keys = await accepted("GET /v1/keys", await client.routes.v1.keys.$get());
      terminal.print(json ? JSON.stringify(keys) : formatTable(keyRows(keys.data)));
      return EXIT.done;
    }),
  );

const createKey = (run: Run) =>
  createCommand("create", "make a key and print it, this once")
    .option("--scopes <scopes>", `what it may do, of ${SCOPES.join(",")} (default: submit,read)`, parseScopes)
    .option("--name <text>", "what it is for")
    .option("--expires-days <n>", "after how many days it is none any more (default: never)", parseDays)
    .action((options) =>
      run(options, async ({ client, terminal, json, note }) => {
        const { scopes = DEFAULT_SCOPES, name, expiresDays } = options;
        const expiry = expiresDays === undefined ? {} : { expires_in_seconds: Math.round(expiresDays * DAY_SECONDS) };
        const body = { scopes: [...scopes], ...(name === undefined ? {} : { name }), ...expiry };
        const made = await accepted("POST /v1/keys", await client.routes.v1.keys.$post({ json: body }));
        terminal.print(json ? JSON.stringify(made) : made.key);
        note(`Key ${made.id}, scopes ${made.scopes.join(", ")}. It is shown this once: keep it safe.`);
        return EXIT.done;
      }),
    );

/** With commas, as `npm run keys` has them, or given several times. */
function parseScopes(text: string, before: readonly KeyScope[] = []): readonly KeyScope[] {
  const scopes = text.split(",").map((given) => {
    const scope = SCOPES.find((name) => name === given.trim());
    if (scope === undefined) throw new InvalidArgumentError(`\`${given}\` is none of ${SCOPES.join(", ")}.`);
    return scope;
  });
  return [...new Set([...before, ...scopes])];
}

function parseDays(text: string): number {
  const days = parseNumber(text);
  if (days <= 0) throw new InvalidArgumentError("It must be above 0.");
  return days;
}

const revokeKey = (run: Run) =>
  createCommand("revoke", "revoke keys for good")
    .argument("<key...>", "their ids", parseIds)
    .action((ids, options) =>
      run(options, (context) =>
        forEach(context, ids, async (id) => {
          const revoked = await revoke(context.client, id);
          context.terminal.print(context.json ? JSON.stringify(revoked) : `Key ${id} is revoked.`);
        }),
      ),
    );

const revoke = async (client: Client, id: string): Promise<ApiKey> =>
  accepted(`DELETE /v1/keys/${id}`, await client.routes.v1.keys[":id"].$delete({ param: { id } }));

function keyRows(keys: readonly ApiKey[]): string[][] {
  const when = (seconds: number | null) =>
    seconds === null ? "-" : new Date(seconds * 1000).toISOString().slice(0, 16);
  return [
    ["ID", "SCOPES", "CREATED", "LAST USED", "EXPIRES", "REVOKED", "NAME"],
    ...keys.map((key) => [
      key.id,
      key.scopes.join(","),
      ...[key.created_at, key.last_used_at, key.expires_at, key.revoked_at].map(when),
      key.name,
    ]),
  ];
}
