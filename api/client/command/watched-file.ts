import { openAsBlob } from "node:fs";

/** Tells how much of it has been read. Each time it is sent it is read from its start, so that it can be sent again. */
class WatchedFile extends File {
  readonly #onBytes: (sent: number) => void;

  constructor(content: Blob, name: string, onBytes: (sent: number) => void) {
    super([content], name);
    this.#onBytes = onBytes;
  }

  override stream() {
    let sent = 0;
    const counted = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform: (chunk, controller) => {
        sent += chunk.byteLength;
        this.#onBytes(sent);
        controller.enqueue(chunk);
      },
    });
    return super.stream().pipeThrough(counted);
  }
}

/** A file to send, of any size: nothing of it is held. Reading fails if it is changed before all of it was read. */
export async function openWatched(path: string, name: string, onBytes: (sent: number) => void): Promise<File> {
  return new WatchedFile(await openAsBlob(path), name, onBytes);
}
