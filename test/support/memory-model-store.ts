import { createHash } from "node:crypto";
import type { ModelFile, ModelStore } from "../../api/state/models/model-download.ts";

export type Read = { name: string; start: number; end: number };

/** A model in memory, given out in pieces of 64 KiB; notes what is read. `onPiece` may throw before a piece is given. */
export function createMemoryModelStore(
  contents: Record<string, Uint8Array>,
  onPiece: (read: Read, at: number) => void | Promise<void> = () => {},
) {
  const reads: Read[] = [];
  let reading = 0;
  let mostAtOnce = 0;
  const hash = (algorithm: string, body: Uint8Array) => createHash(algorithm).update(body).digest("hex");
  const store: ModelStore = {
    async list() {
      return Object.entries(contents).map(
        ([name, body]): ModelFile => ({
          name,
          bytes: body.length,
          etag: `"${hash("md5", body)}"`,
          modifiedMs: 1_700_000_000_000,
          digest: { algorithm: "sha256", hex: hash("sha256", body) },
        }),
      );
    },
    async *read({ name }, start, end, signal) {
      const read = { name, start, end };
      reads.push(read);
      reading += 1;
      mostAtOnce = Math.max(mostAtOnce, reading);
      try {
        for (let at = start; at < end; at += 65_536) {
          signal.throwIfAborted();
          await onPiece(read, at);
          yield contents[name]!.subarray(at, Math.min(end, at + 65_536));
        }
      } finally {
        reading -= 1;
      }
    },
  };
  return { store, reads, mostAtOnce: () => mostAtOnce };
}
