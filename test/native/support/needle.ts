import { fileURLToPath } from "node:url";

export const NEEDLE_DIR = fileURLToPath(new URL("../../../native/models/needle", import.meta.url));

/** Some prompt of so many tokens; what they mean is no matter. */
export const promptOf = (length: number): Uint32Array =>
  Uint32Array.from({ length }, (_, i) => 6 + ((i * 7919) % 4000));
