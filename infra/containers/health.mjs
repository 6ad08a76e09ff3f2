// The health check inside both images: is the process behind it alive? Exits with 0 or 1, and says why if 1.
import { readFileSync } from "node:fs";

const MAX_AGE_MS = 60_000;
const TIMEOUT_MS = 3_000;

const { GNOMON_LIVENESS_FILE: file, GNOMON_PORT: port = "8080" } = process.env;

async function problem() {
  if (file) {
    const ageMs = Date.now() - Number(readFileSync(file, "utf8"));
    return ageMs > MAX_AGE_MS ? `${file} was written ${Math.round(ageMs / 1000)} s ago` : null;
  }
  const response = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  return response.ok ? null : `/healthz answered ${response.status}`;
}

const why = await problem().catch((error) => error.message);
if (why !== null) console.error(why);
process.exit(why === null ? 0 : 1);
