import type { z } from "zod";

/** What a queue message says; null if it is no message of this queue. */
export function parseMessage<T>(schema: z.ZodType<T>, body: string): T | null {
  try {
    return schema.parse(JSON.parse(body));
  } catch {
    return null;
  }
}
