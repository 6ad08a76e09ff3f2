import { createPublicKey, verify } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { newWebhookKey, publicKey } from "../../../api/state/webhooks/webhook-keys.ts";
import { signedHeaders } from "../../../worker/webhook/sign.ts";

const body = '{"type":"job.succeeded","data":{"text":"Süß, 語"}}';
const timestampSeconds = Math.floor(Date.now() / 1000);
const message = { id: "evt_1", timestampSeconds, body };
const newKey = (id = "whkey_1") => newWebhookKey(id, 0);

/** As a receiver checks v1a: by the public key in its published form and nothing else of ours. */
function verifyEd25519(headers: ReturnType<typeof signedHeaders>, payload: string, whpk: string): boolean {
  const x = Buffer.from(whpk.replace(/^whpk_/, ""), "base64").toString("base64url");
  const key = createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", x } });
  const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${payload}`);
  return headers["webhook-signature"]
    .split(" ")
    .filter((signature) => signature.startsWith("v1a,"))
    .some((signature) => verify(null, signed, key, Buffer.from(signature.slice(4), "base64")));
}

describe("signedHeaders", () => {
  it("gives the known signatures for the known keys", () => {
    const key = {
      secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
      private_key: "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
    };
    const known = { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestampSeconds: 1_614_265_330, body: '{"test": 2432232314}' };
    expect(signedHeaders(known, [key])).toEqual({
      "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
      "webhook-timestamp": "1614265330",
      "webhook-signature":
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= " +
        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
    });
    expect(publicKey(key.private_key)).toBe("whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=");
  });

  it("is accepted by the reference library, which refuses another body and another secret", () => {
    const key = newKey();
    const headers = signedHeaders(message, [key]);
    expect(new Webhook(key.secret).verify(body, headers)).toEqual(JSON.parse(body));
    expect(() => new Webhook(key.secret).verify(`${body} `, headers)).toThrow("No matching signature");
    expect(() => new Webhook(newKey().secret).verify(body, headers)).toThrow("No matching signature");
  });

  it("is accepted by the public key alone, which refuses another body and another key", () => {
    const key = newKey();
    const headers = signedHeaders(message, [key]);
    expect(verifyEd25519(headers, body, publicKey(key.private_key))).toBe(true);
    expect(verifyEd25519(headers, `${body} `, publicKey(key.private_key))).toBe(false);
    expect(verifyEd25519(headers, body, publicKey(newKey().private_key))).toBe(false);
  });

  it("signs with every key, so that a receiver who knows one of them accepts it", () => {
    const keys = [newKey("new"), newKey("old")];
    const headers = signedHeaders(message, keys);
    expect(headers["webhook-signature"].split(" ").map((signature) => signature.split(",")[0])).toEqual([
      "v1",
      "v1a",
      "v1",
      "v1a",
    ]);
    for (const key of keys) {
      expect(new Webhook(key.secret).verify(body, headers)).toEqual(JSON.parse(body));
      expect(verifyEd25519(headers, body, publicKey(key.private_key))).toBe(true);
    }
  });
});

describe("newWebhookKey", () => {
  it("has the lengths that Standard Webhooks asks for, and is new each time", () => {
    const [first, second] = [newKey(), newKey()];
    expect(first.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(first.private_key).toMatch(/^whsk_[A-Za-z0-9+/]{86}==$/);
    expect(publicKey(first.private_key)).toMatch(/^whpk_[A-Za-z0-9+/]{43}=$/);
    expect(second.secret).not.toBe(first.secret);
    expect(second.private_key).not.toBe(first.private_key);
  });
});
