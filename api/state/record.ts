import type { z } from "zod";
import { AppError } from "../contract/errors.ts";
import type { Etag, ObjectStore } from "./object-store.ts";

export type Stored<T> = { value: T; etag: Etag };

export const encode = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

/** A JSON object of the store, checked against its schema; null if absent. A record that does not parse is `internal`. */
export async function readRecord<S extends z.ZodType>(
  objects: ObjectStore,
  key: string,
  schema: S,
): Promise<Stored<z.infer<S>> | null> {
  const object = await objects.get(key);
  if (object === null) return null;
  try {
    return { value: schema.parse(JSON.parse(Buffer.from(object.body).toString())), etag: object.etag };
  } catch (cause) {
    throw new AppError("internal", `${key} does not hold what its schema says`, { cause });
  }
}
