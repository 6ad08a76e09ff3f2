import { readFile } from "node:fs/promises";
import type { z } from "zod";
import { EngineError } from "../engine-error.ts";

/** A JSON file of a model directory. Rejects with invalid_model, naming the file and the field. */
export async function readModelFile<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new EngineError("invalid_model", `${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new EngineError("invalid_model", `${path}: ${issue?.path.join(".")}: ${issue?.message}`, {
    cause: parsed.error,
  });
}
