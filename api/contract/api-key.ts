import { z } from "zod";
import { Scope } from "./access.ts";

/** What a tenant may give: nothing that shows other tenants. */
const TenantScope = Scope.exclude(["metrics"]);

const DAY_SECONDS = 86_400;

export const CreateApiKey = z
  .strictObject({
    name: z.string().max(64).default("").meta({ description: "What it is for; shown in lists." }),
    scopes: z
      .array(TenantScope)
      .min(1)
      .max(TenantScope.options.length)
      .meta({ description: "`submit` writes, `read` reads, `admin` does both and manages the tenant's API keys." }),
    expires_in_seconds: z
      .int()
      .min(60)
      .max(3_650 * DAY_SECONDS)
      .optional()
      .meta({ description: "Default: it does not expire." }),
  })
  .meta({ id: "CreateApiKey" });

/** Times in Unix seconds. */
export const ApiKey = z
  .object({
    object: z.literal("api_key"),
    id: z.string(),
    tenant: z.string(),
    name: z.string(),
    scopes: z.array(Scope),
    created_at: z.number(),
    last_used_at: z.number().nullable().meta({ description: "Exact to a minute or so." }),
    expires_at: z.number().nullable(),
    revoked_at: z.number().nullable(),
  })
  .meta({ id: "ApiKey" });
export type ApiKey = z.infer<typeof ApiKey>;

export const NewApiKey = ApiKey.extend({
  key: z.string().meta({ description: "What to send as `Authorization: Bearer`. It is shown this once." }),
}).meta({ id: "NewApiKey" });

export const ApiKeyList = z.object({ object: z.literal("list"), data: z.array(ApiKey) }).meta({ id: "ApiKeyList" });
