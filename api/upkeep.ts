// A function that runs once a minute where nothing else of ours may be running: does what a crash left undone, and
// publishes the backlog that workers are scaled by.
import { BACKLOG_METRIC } from "./contract/backlog.ts";
import { ApiEnv, parseEnv } from "./contract/env.ts";
import { openApp } from "./open-app.ts";
import { createLog } from "./process.ts";

/** As much of Lambda's context as is used. */
type Context = { getRemainingTimeInMillis(): number };

/** Kept for the backlog: without it nobody would be scaled. */
const RESERVED_MS = 20_000;

/** Nobody sends it requests, so it needs no API keys to be there. */
const NOT_LISTENING = "127.0.0.1";

const env = parseEnv(ApiEnv, process.env);
const log = createLog("upkeep", env.GNOMON_LOG_LEVEL);
const { jobs, uploads, backlog } = await openApp(env, {
  host: NOT_LISTENING,
  log,
  isStopping: () => false,
  waitMs: 0,
});
/** Where the last minute's sweep stopped. */
let after: string | undefined;

export async function handler(_event: unknown, context: Context): Promise<void> {
  const { jobs: count, gpuSeconds, oldestMs } = await backlog();
  const publishedMs = Date.now();
  // CloudWatch's embedded metric format: the log line is the metric, at no request and no permission. Not by
  // console.log, to which Lambda adds words of its own.
  process.stdout.write(
    `${JSON.stringify({
      _aws: {
        Timestamp: publishedMs,
        CloudWatchMetrics: [
          {
            Namespace: BACKLOG_METRIC.namespace,
            Dimensions: [[]],
            Metrics: [
              { Name: BACKLOG_METRIC.metricName, Unit: "Seconds" },
              { Name: "ActiveJobs", Unit: "Count" },
              { Name: "OldestJobAge", Unit: "Seconds" },
            ],
          },
        ],
      },
      [BACKLOG_METRIC.metricName]: gpuSeconds,
      ActiveJobs: count,
      OldestJobAge: oldestMs === null ? 0 : Math.max(0, (publishedMs - oldestMs) / 1000),
    })}\n`,
  );
  await uploads.sweep();
  do {
    const { next, ...done } = await jobs.sweep(after);
    after = next ?? undefined;
    if (done.sent + done.discarded + done.ended > 0) log.info(done, "swept active jobs");
  } while (after !== undefined && context.getRemainingTimeInMillis() > RESERVED_MS);
}
