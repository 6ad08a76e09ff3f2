import { Command, Option } from "@commander-js/extra-typings";
import type { ApiKey } from "../../contract/api-key.ts";
import type { Client } from "../client.ts";
import { accepted } from "../request.ts";
import { createCommand, type Run } from "./command.ts";
import { EXIT } from "./exit-status.ts";
import { parseNumber } from "./question-options.ts";
import { formatTable } from "./table.ts";

const SCOPES = ["submit", "read", "admin"] as const;
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
    .addOption(new Option("--scopes <scope...>", "what it may do").choices(SCOPES).default(["submit", "read"] as const))
    .option("--name <text>", "what it is for")
    .option("--expires-days <n>", "default: it does not expire", parseNumber)
    .action((options) =>
      run(options, async ({ client, terminal, json, note }) => {
        const { scopes, name, expiresDays } = options;
        const expiry = expiresDays === undefined ? {} : { expires_in_seconds: Math.round(expiresDays * DAY_SECONDS) };
        const body = { scopes: [...scopes], ...(name === undefined ? {} : { name }), ...expiry };
        const made = await accepted("POST /v1/keys", await client.routes.v1.keys.$post({ json: body }));
        terminal.print(json ? JSON.stringify(made) : made.key);
        note(`Key ${made.id}, scopes ${made.scopes.join(", ")}. It is shown this once: keep it safe.`);
        return EXIT.done;
      }),
    );

const revokeKey = (run: Run) =>
  createCommand("revoke", "revoke keys for good")
    .argument("<key...>", "their ids")
    .action((ids, options) =>
      run(options, async ({ client, terminal, json }) => {
        for (const id of ids) {
          const revoked = await revoke(client, id);
          terminal.print(json ? JSON.stringify(revoked) : `Key ${id} is revoked.`);
        }
        return EXIT.done;
      }),
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
