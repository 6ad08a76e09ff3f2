import { createHmac, sign } from "node:crypto";
import type { WebhookKey } from "../../api/contract/webhook.ts";
import { privateKey, secretBytes } from "../../api/state/webhooks/webhook-keys.ts";

type Message = { id: string; timestampSeconds: number; body: string };
type SigningKey = Pick<WebhookKey, "secret" | "private_key">;

/** The headers of Standard Webhooks 1.0: both signatures by every key, so that a receiver may know any one of them. */
export function signedHeaders({ id, timestampSeconds, body }: Message, keys: readonly SigningKey[]) {
  const signed = Buffer.from(`${id}.${timestampSeconds}.${body}`);
  const signatures = keys.flatMap((key) => [
    `v1,${createHmac("sha256", secretBytes(key.secret)).update(signed).digest("base64")}`,
    `v1a,${sign(null, signed, privateKey(key.private_key)).toString("base64")}`,
  ]);
  return {
    "webhook-id": id,
    "webhook-timestamp": String(timestampSeconds),
    "webhook-signature": signatures.join(" "),
  };
}
