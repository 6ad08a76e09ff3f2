// Keys in the formats of Standard Webhooks: `whsec_` is the secret of v1; `whsk_` is an ed25519 seed followed by its
// public key, and `whpk_` that public key alone, for v1a. All are base64 behind their prefix.
import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import type { WebhookKey } from "../../contract/webhook.ts";

const SECRET_BYTES = 32;
const SEED_BYTES = 32;

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const keyBytes = (text: string, prefix: string): Buffer => Buffer.from(text.slice(prefix.length), "base64");

export function newWebhookKey(id: string, nowMs: number): WebhookKey {
  const { d = "", x = "" } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const pair = Buffer.concat([Buffer.from(d, "base64url"), Buffer.from(x, "base64url")]);
  return {
    id,
    created_ms: nowMs,
    signs_until_ms: null,
    secret: `whsec_${base64(randomBytes(SECRET_BYTES))}`,
    private_key: `whsk_${base64(pair)}`,
  };
}

export const secretBytes = (secret: string): Uint8Array => keyBytes(secret, "whsec_");

export function privateKey(text: string): KeyObject {
  const pair = keyBytes(text, "whsk_");
  const d = pair.subarray(0, SEED_BYTES).toString("base64url");
  const x = pair.subarray(SEED_BYTES).toString("base64url");
  return createPrivateKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", d, x } });
}

export const publicKey = (text: string): string => `whpk_${base64(keyBytes(text, "whsk_").subarray(SEED_BYTES))}`;
