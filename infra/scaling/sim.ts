// `npm run sim:scaling`: replays arrival traces against the scaling policy.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { plotOutcome } from "./plot.ts";
import { type ScalingPolicy, scalingDefaults } from "./policy.ts";
import { type Costs, type Outcome, simulate } from "./simulate.ts";
import { createTraces } from "./traces.ts";

const USAGE = `usage: npm run sim:scaling -- [options]
  --json                  one JSON object instead of tables
  --compare               other targets and pauses beside the policy's own
  --plots FOLDER          an SVG for each trace
  --target SECONDS        GPU-seconds of work a worker may have (${scalingDefaults.targetSeconds})
  --max-workers N         (32)
  --cold-start SECONDS    from the wish for a worker to its first job (240; an assumption, measure your own)
  --spot-price SHARE      of the On-Demand price, which is 1 an hour (0.4; an assumption)
  --seed N                of the traces (1)`;

const options = {
  json: { type: "boolean", default: false },
  compare: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
  plots: { type: "string" },
  target: { type: "string", default: String(scalingDefaults.targetSeconds) },
  "max-workers": { type: "string", default: "32" },
  "cold-start": { type: "string", default: "240" },
  "spot-price": { type: "string", default: "0.4" },
  seed: { type: "string", default: "1" },
} as const;

const round = (value: number, digits = 2): number => Number(value.toFixed(digits));

const toJson = (outcome: Outcome) => ({
  trace: outcome.trace,
  jobs: outcome.jobs,
  unfinished: outcome.unfinished,
  queue_wait_p50_seconds: round(outcome.queueWaitSeconds.p50, 1),
  queue_wait_p99_seconds: round(outcome.queueWaitSeconds.p99, 1),
  queue_wait_max_seconds: round(outcome.queueWaitSeconds.max, 1),
  on_demand_hours: round(outcome.onDemandHours),
  spot_hours: round(outcome.spotHours),
  cost: round(outcome.cost),
  gpu_utilisation: round(outcome.gpuUtilisation, 3),
  cold_starts: outcome.coldStarts,
  interruptions: outcome.interruptions,
  lost_gpu_seconds: round(outcome.lostSeconds, 1),
});

/** For people: a line that a terminal has room for. */
const toRow = (outcome: Outcome) => ({
  "wait p50 s": Math.round(outcome.queueWaitSeconds.p50),
  "p99 s": Math.round(outcome.queueWaitSeconds.p99),
  "max s": Math.round(outcome.queueWaitSeconds.max),
  jobs: outcome.jobs,
  unfinished: outcome.unfinished,
  cost: round(outcome.cost),
  "GPU busy %": round(outcome.gpuUtilisation * 100, 0),
  "cold starts": outcome.coldStarts,
  "Spot ends": outcome.interruptions,
});

/** Around the policy's own values, each knob on its own. */
function variants(policy: ScalingPolicy): ScalingPolicy[] {
  return [
    ...[60, 150, 300, 1_200].map((targetSeconds) => ({ ...policy, targetSeconds })),
    ...[60, 900, 1_800].map((scaleInCooldownSeconds) => ({ ...policy, scaleInCooldownSeconds })),
    ...[0, 4].map((onDemandBase) => ({ ...policy, onDemandBase })),
  ];
}

function number(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < 0)
    throw new Error(`--${name} ${text}: not a number of 0 or more`);
  return value;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options });
  if (values.help) return console.log(USAGE);
  const policy = {
    ...scalingDefaults,
    targetSeconds: number("target", values.target),
    maxWorkers: number("max-workers", values["max-workers"]),
  };
  const costs: Costs = {
    coldStartSeconds: number("cold-start", values["cold-start"]),
    onDemandHour: 1,
    spotHour: number("spot-price", values["spot-price"]),
  };
  const traces = createTraces(number("seed", values.seed));
  const runs = [policy, ...(values.compare ? variants(policy) : [])].map((each) => ({
    policy: each,
    outcomes: traces.map((trace) => simulate(trace, each, costs)),
  }));
  if (values.plots !== undefined) {
    await mkdir(values.plots, { recursive: true });
    for (const outcome of runs[0]?.outcomes ?? []) {
      await writeFile(join(values.plots, `${outcome.trace.replaceAll(" ", "-")}.svg`), plotOutcome(outcome));
    }
  }
  if (values.json) {
    const results = runs.map((run) => ({ policy: run.policy, outcomes: run.outcomes.map(toJson) }));
    return console.log(JSON.stringify({ costs, runs: results }));
  }
  for (const run of runs) {
    console.log(JSON.stringify(run.policy));
    console.table(Object.fromEntries(run.outcomes.map((outcome) => [outcome.trace, toRow(outcome)])));
  }
}

main().catch((error: Error) => {
  console.error(`${error.message}\n${USAGE}`);
  process.exitCode = 1;
});
