import type { MiddlewareHandler } from "hono";
import { type Caller, mayDo, type Scope } from "../contract/access.ts";
import { AppError } from "../contract/errors.ts";
import { objectsPath } from "../state/embedded/object-urls.ts";
import type { Access } from "./access.ts";
import { isLoopback } from "./loopback.ts";
import type { AppEnv } from "./router.ts";

/**
 * What a route asks of its caller, by method and path, so that no route can forget to ask. Null: nothing, as with
 * probes, descriptions, and presigned URLs, whose signature is the permission.
 */
export function neededScope(method: string, path: string): Scope | null {
  if (!path.startsWith("/v1/") || path.startsWith(objectsPath)) return null;
  if (managesKeys(path)) return "admin";
  if (path === "/v1/scaling") return "metrics";
  // Reading them is being able to sign as we do.
  if (path === "/v1/webhooks/keys") return "submit";
  return ["GET", "HEAD", "OPTIONS"].includes(method.toUpperCase()) ? "read" : "submit";
}

const managesKeys = (path: string): boolean => path === "/v1/keys" || path.startsWith("/v1/keys/");

/** Lets a request pass as its caller, or not at all. */
export const authorize = (access: Access): MiddlewareHandler<AppEnv> =>
  async function authorize(c, next) {
    const scope = neededScope(c.req.method, c.req.path);
    if (scope !== null) {
      const caller = await access.authenticate(c.req.header("authorization"));
      if (caller.key === null) refuseOtherSites(new URL(c.req.url), c.req.header("origin"));
      c.set("caller", caller);
      c.set("tenant", caller.tenant);
      if (!mayDo(caller, scope) || (caller.key === null && managesKeys(c.req.path))) throw insufficient(caller, scope);
    }
    await next();
  };

/**
 * Without a key the browser of whoever sits at this machine must not be anyone's tool: a page of another site could
 * post here, or read as well once its name resolves to this address.
 */
function refuseOtherSites(url: URL, origin: string | undefined): void {
  const own = isLoopback(url.hostname) && (origin === undefined || origin === url.origin);
  if (own) return;
  throw new AppError("origin_refused", `host ${url.hostname}, origin ${origin}`, {
    detail:
      "Without API keys the service answers only to addresses and pages of its own: use http://localhost, or make a key.",
  });
}

const insufficient = (caller: Caller, scope: Scope): AppError =>
  new AppError("insufficient_scope", `scope ${scope} is missing`, {
    detail:
      caller.key === null
        ? "API keys are managed with a key of scope `admin`: make the first on the machine of the service, by `npm run keys -- create --scopes admin`."
        : `This needs an API key with the scope \`${scope}\`; yours has ${caller.scopes.join(", ")}.`,
    extra: { needed_scope: scope },
  });
