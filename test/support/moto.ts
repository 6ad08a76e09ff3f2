import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const bin = fileURLToPath(new URL("../../.build/venv/bin", import.meta.url));

/**
 * moto answers each request on a thread of its own, and looks at a condition before it writes. As long as no thread is
 * made to give way in between, one of many conditional writes wins and a message goes to one receiver, as at AWS.
 */
const SERVER = "import sys; sys.setswitchinterval(3600); from moto.server import main; main()";

/** Why tests against S3 and SQS over the wire are skipped; null if they can run. */
export const motoMissing = existsSync(`${bin}/moto_server`)
  ? null
  : "moto_server is not installed (python3 -m venv .build/venv && .build/venv/bin/pip install -r test/requirements.txt)";

/** Starts moto's S3 and SQS on a free port of the loopback interface. */
export async function startMoto(): Promise<{ endpoint: string; stop: () => Promise<void> }> {
  // moto checks no credentials, but the SDK must have some to sign with.
  process.env.AWS_ACCESS_KEY_ID ??= "test";
  process.env.AWS_SECRET_ACCESS_KEY ??= "test";
  const server = spawn(`${bin}/python`, ["-c", SERVER, "-H", "127.0.0.1", "-p", "0"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const endpoint = await announcedUrl(server);
  return {
    endpoint,
    async stop() {
      server.kill("SIGKILL");
      if (server.exitCode === null && server.signalCode === null) await once(server, "exit");
    },
  };
}

function announcedUrl(server: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let log = "";
    server.stderr?.on("data", (chunk) => {
      log = (log + chunk).slice(-4096);
      const url = /Running on (http:\S+)/.exec(log)?.[1];
      if (url !== undefined) resolve(url);
    });
    server.once("error", reject);
    server.once("exit", (code) => reject(new Error(`moto_server ended with ${code}: ${log}`)));
  });
}
