import { mayReach, type Network } from "./public-address.ts";

/** What a deployment allows beyond https to public addresses on the standard port. */
export type WebhookPolicy = {
  plainHttp: boolean;
  /** Ports other than the standard one of the scheme. */
  ports: readonly number[];
  networks: readonly Network[];
};

/** Strict: what holds where nothing is configured. */
export const PUBLIC_HTTPS_ONLY: WebhookPolicy = { plainHttp: false, ports: [], networks: [] };

/** Top-level names that are never public; what they resolve to is checked all the same. */
const PRIVATE_SUFFIXES = ["localhost", "local", "internal", "intranet", "lan", "home.arpa", "corp", "private", "test"];

/**
 * Why webhooks may not go to `url`, as the end of a sentence that begins with its field; null if they may. Looks at the
 * text alone: the addresses of a name are checked when the connection is made.
 */
export function refuseWebhookUrl(text: string, policy: WebhookPolicy): string | null {
  // Parsers disagree about a backslash and drop white space: who reads it otherwise must not be misled.
  const url = /[\s\\\p{Cc}]/u.test(text) ? null : URL.parse(text);
  if (url === null) return "is not a URL: give an absolute one, such as https://example.com/hook";
  if (url.protocol !== "https:" && !(url.protocol === "http:" && policy.plainHttp)) return "must begin with https://";
  if (url.username !== "" || url.password !== "") {
    return "must not carry a user name or password: tell our requests by their signature";
  }
  // The parser has dropped the standard port of the scheme.
  if (url.port !== "" && !policy.ports.includes(Number(url.port))) {
    return `must use the standard port, not ${url.port}`;
  }
  return refuseHost(url.hostname, policy);
}

function refuseHost(hostname: string, { networks }: WebhookPolicy): string | null {
  const literal = addressLiteral(hostname);
  if (literal !== null) return mayReach(literal, networks) ? null : "must not point to an address that is not public";
  // Names inside a network mean something only to those who allowed that network.
  if (networks.length > 0) return null;
  const name = hostname.replace(/\.$/, "").toLowerCase();
  const isPrivate = !name.includes(".") || PRIVATE_SUFFIXES.some((suffix) => name.endsWith(`.${suffix}`));
  return isPrivate ? `must have a public host name, and ${name} is none` : null;
}

/**
 * The address if the host of a parsed URL is one: the parser has made dotted decimals of every way to write IPv4
 * (decimal, hex, octal, short, full-width) and put IPv6 into brackets.
 */
export function addressLiteral(hostname: string): string | null {
  if (hostname.startsWith("[")) return hostname.slice(1, -1);
  return /^\d+\.\d+\.\d+\.\d+$/.test(hostname) ? hostname : null;
}
