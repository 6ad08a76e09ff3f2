// The entry of the api process: environment → state → app → listen.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { ApiEnv, parseEnv } from "./contract/env.ts";
import { AppError } from "./contract/errors.ts";
import { limits } from "./contract/limits.ts";
import { openApp } from "./open-app.ts";
import { createLog, type Running, runProcess } from "./process.ts";
import { startSweeper } from "./state/jobs/sweeper.ts";

/** Requests that still run at a stop are cut off after this. */
const STOP_MS = 5_000;

const UPLOAD_SWEEP_MS = 3_600_000;
/** Jobs and documents past their retention are not shown any more; what is left of them can wait for this. */
const RETENTION_SWEEP_MS = 6 * 3_600_000;
/** As long as a presigned URL works. */
const UPLOAD_MS = limits.presignSeconds * 1000;

async function startApi(): Promise<Running> {
  const env = parseEnv(ApiEnv, process.env);
  const log = createLog("api", env.GNOMON_LOG_LEVEL);
  let stopping = false;
  const { app, jobs, removeOld, uploads, model, access, close } = await openApp(env, {
    host: env.GNOMON_HOST,
    log,
    isStopping: () => stopping,
    waitMs: Number.POSITIVE_INFINITY,
  });

  const uploadSweep = setInterval(() => {
    uploads.sweep().catch((error) => log.error({ err: error }, "sweep of uploads failed"));
  }, UPLOAD_SWEEP_MS);
  const sweepOld = async (): Promise<void> => {
    try {
      // Jobs first: what they name, or belongs to, may then go too.
      const removed = { jobs: await jobs.removeOld(), ...(await removeOld?.()) };
      if (Object.values(removed).some((count) => count > 0))
        log.info({ removed }, "removed what was past its retention");
    } catch (error) {
      log.error({ err: error }, "sweep of what is past its retention failed");
    }
  };
  const retentionSweep = setInterval(() => void sweepOld(), RETENTION_SWEEP_MS);
  void sweepOld();
  const sweeper = startSweeper({ jobs, everyMs: limits.sweepMs, log });
  const listener = getRequestListener(app.fetch);
  const server = createServer((request, response) => void listener(request, response));
  // A large document over a slow line takes its time. Headers still have to come within Node's minute.
  server.requestTimeout = UPLOAD_MS;
  await listen(server, env.GNOMON_HOST, env.GNOMON_PORT);
  const { address, port, family } = server.address() as AddressInfo;
  const url = `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  log.info({ url, model, state: env.GNOMON_STATE, access }, "api listens");

  return {
    about: { url, model, access },
    async stop() {
      stopping = true;
      clearInterval(uploadSweep);
      clearInterval(retentionSweep);
      log.info("api stops");
      const closed = once(server, "close");
      server.close();
      const cutOff = setTimeout(() => server.closeAllConnections(), STOP_MS);
      await Promise.all([closed, sweeper.stop()]);
      clearTimeout(cutOff);
      await close();
    },
  };
}

async function listen(server: ReturnType<typeof createServer>, host: string, port: number): Promise<void> {
  server.listen(port, host);
  await once(server, "listening").catch((cause) => {
    const why =
      cause.code === "EADDRINUSE" ? "is in use by another program: stop that, or set GNOMON_PORT" : cause.message;
    throw new AppError("unavailable", `port ${port} of ${host} ${why}`, { cause });
  });
}

await runProcess(startApi);
