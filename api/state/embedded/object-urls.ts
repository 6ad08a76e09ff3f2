import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Database } from "./database.ts";

/** The path below which the API serves signed object URLs of the embedded store. */
export const objectsPath = "/v1/objects/";

export type ObjectUrls = {
  sign(key: string, method: "GET" | "PUT", expiresSeconds: number): string;
  /** What a request to such a URL may do: read (GET) or write (PUT) the object `key`, or nothing, and why. */
  verify(method: string, url: URL): { key: string } | { refused: "signature" | "expired" };
};

/** URLs that carry their own permission, signed with HMAC-SHA-256. `baseUrl` has no trailing slash; empty gives paths. */
export function createObjectUrls(secret: Uint8Array, now: () => number, baseUrl = ""): ObjectUrls {
  const signature = (key: string, method: string, expires: number): Buffer =>
    createHmac("sha256", secret).update(`${method}\n${expires}\n${key}`).digest();

  return {
    sign(key, method, expiresSeconds) {
      const expires = Math.ceil(now() / 1000 + expiresSeconds);
      const query = new URLSearchParams({
        expires: String(expires),
        signature: signature(key, method, expires).toString("base64url"),
      });
      return `${baseUrl}${objectsPath}${key.split("/").map(encodeURIComponent).join("/")}?${query.toString()}`;
    },

    verify(method, url) {
      const key = decode(url.pathname);
      const expires = Number(url.searchParams.get("expires"));
      const given = Buffer.from(url.searchParams.get("signature") ?? "", "base64url");
      if (key === null || !Number.isInteger(expires)) return { refused: "signature" };
      const expected = signature(key, method, expires);
      if (given.length !== expected.length || !timingSafeEqual(given, expected)) return { refused: "signature" };
      return expires * 1000 > now() ? { key } : { refused: "expired" };
    },
  };
}

function decode(pathname: string): string | null {
  if (!pathname.startsWith(objectsPath)) return null;
  try {
    return decodeURIComponent(pathname.slice(objectsPath.length));
  } catch {
    return null;
  }
}

/** The key that signs URLs: made once for a state directory, the same for every process that shares it. */
export async function urlSecret(database: Database): Promise<Uint8Array> {
  const insert = database.prepare("INSERT INTO secrets (name, value) VALUES ('urls', ?) ON CONFLICT DO NOTHING");
  const select = database.prepare("SELECT value FROM secrets WHERE name = 'urls'");
  return database.write(() => {
    insert.run(randomBytes(32));
    return (select.get() as { value: Uint8Array }).value;
  });
}
