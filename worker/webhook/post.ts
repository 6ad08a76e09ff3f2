// One POST to a URL that a stranger chose. The addresses of its host are looked up once and all checked, and the
// connection is made to those very addresses: a name that changes between check and use gains nothing. Redirects are
// not followed, no proxy is used, no cookie is kept.
import http, { type ClientRequest, type IncomingMessage } from "node:http";
import https from "node:https";
import { isIPv6, type LookupFunction } from "node:net";
import { mayReach } from "../../api/contract/public-address.ts";
import { addressLiteral, refuseWebhookUrl, type WebhookPolicy } from "../../api/contract/webhook-target.ts";
import type { Resolve } from "./resolve.ts";

export type PostError = {
  code: "target_refused" | "name_not_resolved" | "connection_failed" | "timed_out";
  message: string;
};

/** `status` is that of the answer; null if none came, and `error` says why. */
export type PostOutcome =
  | { status: number; retryAfter: string | undefined; error: null }
  | { status: null; retryAfter: undefined; error: PostError };

type Post = { url: string; headers: Record<string, string>; body: string };

export type PostDeps = {
  policy: WebhookPolicy;
  resolve: Resolve;
  limits: { webhookTimeoutMs: number; webhookResponseBytes: number };
};

class Refused extends Error {
  readonly reason: PostError;
  constructor(code: PostError["code"], message: string) {
    super(message);
    this.reason = { code, message };
  }
}

/** Never rejects. Aborting `signal` ends the request as if it had timed out. */
export async function post(request: Post, deps: PostDeps, signal?: AbortSignal): Promise<PostOutcome> {
  const { policy, limits } = deps;
  const timeout = AbortSignal.timeout(limits.webhookTimeoutMs);
  const deadline = signal ? AbortSignal.any([timeout, signal]) : timeout;
  try {
    const reason = refuseWebhookUrl(request.url, policy);
    if (reason !== null) throw new Refused("target_refused", `The URL ${reason}.`);
    const url = new URL(request.url);
    const addresses = await unlessAborted(findAddresses(url.hostname, deps), deadline);
    const response = await answer(send(url, request, addresses, deadline), policy);
    await discardBody(response, limits.webhookResponseBytes);
    return { status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"], error: null };
  } catch (thrown) {
    return { status: null, retryAfter: undefined, error: describe(thrown, deadline) };
  }
}

async function findAddresses(hostname: string, { policy, resolve }: PostDeps): Promise<string[]> {
  const literal = addressLiteral(hostname);
  const addresses = literal === null ? await lookUp(hostname, resolve) : [literal];
  // All of them: which one the connection would take is not ours to foresee.
  if (addresses.every((address) => mayReach(address, policy.networks))) return addresses;
  // Not which address: that would map the inside of a network for whoever asks.
  throw new Refused("target_refused", "The host name resolves to an address that is not public.");
}

async function lookUp(hostname: string, resolve: Resolve): Promise<string[]> {
  const addresses = await resolve(hostname).catch(() => []);
  if (addresses.length === 0) throw new Refused("name_not_resolved", "The host name has no address.");
  return addresses;
}

function send(url: URL, { headers, body }: Post, addresses: readonly string[], signal: AbortSignal): ClientRequest {
  const bytes = Buffer.from(body);
  const request = (url.protocol === "https:" ? https : http).request({
    method: "POST",
    host: addressLiteral(url.hostname) ?? url.hostname,
    port: url.port || undefined,
    path: `${url.pathname}${url.search}`,
    headers: { ...headers, host: url.host, "content-length": bytes.length },
    lookup: pinned(addresses),
    // A connection of its own, so that none is reused whose address was checked for another name.
    agent: false,
    maxHeaderSize: 16 * 1024,
    signal,
  });
  request.end(bytes);
  return request;
}

/** Answers every lookup with the addresses that were checked. */
function pinned(addresses: readonly string[]): LookupFunction {
  const found = addresses.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }));
  return (_hostname, options, callback) => {
    const [first] = found;
    if (options.all || first === undefined) callback(null, found);
    else callback(null, first.address, first.family);
  };
}

function answer(request: ClientRequest, policy: WebhookPolicy): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once("response", resolve);
    // Not once: an aborted request may fail a second time, and nobody else listens.
    request.on("error", reject);
    // Should anything above ever miss an address, nothing is sent to it: not the first byte of the handshake.
    request.once("socket", (socket) =>
      socket.once("connect", () => {
        const { remoteAddress = "" } = socket;
        if (!mayReach(remoteAddress, policy.networks)) {
          request.destroy(new Refused("target_refused", "The connection went to an address that is not public."));
        }
      }),
    );
  });
}

/** Reads as much as is polite; an answer without end is cut off. Its status counts either way. */
function discardBody(response: IncomingMessage, maxBytes: number): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0;
    response.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBytes) response.destroy();
    });
    response.on("error", () => {});
    response.once("close", resolve);
  });
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    promise.then(resolve, reject);
  });
}

function describe(thrown: unknown, deadline: AbortSignal): PostError {
  if (thrown instanceof Refused) return thrown.reason;
  if (deadline.aborted) return { code: "timed_out", message: "No answer came in time." };
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "unknown";
  return { code: "connection_failed", message: `The connection failed: ${code}.` };
}
