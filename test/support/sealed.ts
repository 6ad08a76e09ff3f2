import { createHash } from "node:crypto";

const hashOf = (content: Uint8Array): Buffer => createHash("sha256").update(content).digest();

/** A body that shows whether it is whole: a name and filling up to `length` bytes, then their hash. */
export function seal(name: string, length: number): Buffer {
  const content = Buffer.from(name.padEnd(length, "."));
  return Buffer.concat([content, hashOf(content)]);
}

/** The name in a sealed body; null if the body is torn. */
export function unseal(body: Uint8Array): string | null {
  const content = body.subarray(0, -32);
  if (!hashOf(content).equals(body.subarray(-32))) return null;
  return Buffer.from(content).toString().replace(/\.+$/, "");
}
