/** Opaque version of an object, for compare-and-swap. Adapters may give equal contents equal etags. */
export type Etag = string;

export type StoredObject = { body: Uint8Array; etag: Etag };
/** A body to be read once and to its end, or cancelled. */
export type StreamedObject = { body: ReadableStream<Uint8Array>; bytes: number; etag: Etag };
/** Replaces the object, or with `ifAbsent` only makes it. */
export type Put = { key: string; body: Uint8Array; ifAbsent?: boolean };
export type ObjectInfo = { key: string; bytes: number; etag: Etag };

/**
 * Port to the object store. Strongly consistent reads and lists. Keys are `/`-separated printable
 * ASCII without empty, `.` or `..` segments, at most 1,024 bytes; others throw AppError `invalid_request`. Every method may
 * throw AppError `unavailable` (retryable); a write that throws it may have taken effect.
 */
export interface ObjectStore {
  put(key: string, body: Uint8Array): Promise<Etag>;
  /** As put, of a body that is never in memory as a whole. If it breaks off, the object stays as it was and its error is thrown. */
  putStream(key: string, body: AsyncIterable<Uint8Array>): Promise<{ etag: Etag; bytes: number }>;
  /** Creates the object; null if it exists already. */
  putIfAbsent(key: string, body: Uint8Array): Promise<Etag | null>;
  /**
   * Puts of several objects, step after step: whatever breaks off, nothing of a step is there before all of the steps
   * before it. A put whose `ifAbsent` found its key taken gives null, and nothing is made of the steps after it. What
   * `check` throws, called before each step, ends it there. The etags of each step that was made.
   */
  putSteps(steps: readonly (readonly Put[])[], check?: () => void): Promise<(Etag | null)[][]>;
  /**
   * Replaces the object if its version is still `etag`; null if it changed or is gone. Where the answer of the store was
   * lost and another write has followed, null also follows a swap that did take effect: read before drawing conclusions.
   */
  compareAndSwap(key: string, etag: Etag, body: Uint8Array): Promise<Etag | null>;
  /** null if absent. */
  get(key: string): Promise<StoredObject | null>;
  getStream(key: string): Promise<StreamedObject | null>;
  /** Writes what `from` holds to `to`, within the store; null if `from` is absent. */
  copy(from: string, to: string): Promise<Etag | null>;
  /** Bytes [start, end) of the object, clipped to its size; null if absent. */
  getRange(key: string, start: number, end: number): Promise<Uint8Array | null>;
  /** Keys under `prefix` in ascending byte order, after `after` if given, at most `limit`. */
  list(prefix: string, options?: { after?: string; limit?: number }): Promise<ObjectInfo[]>;
  /** Succeeds if the object is absent too. */
  delete(key: string): Promise<void>;
  /** A URL that reads (GET) or writes (PUT) the object without credentials until it expires. */
  presign(key: string, method: "GET" | "PUT", expiresSeconds: number): Promise<string>;
  /** Ends what the adapter itself started; clients and databases it was given stay open. */
  close(): Promise<void>;
}
