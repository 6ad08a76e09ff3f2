// `npm run test:chaos`: the service under kill -9, broken wires, jumping clocks and a full disk, on both adapters. The
// last line is JSON; the exit status says whether anything was lost, doubled or left behind.
import { parseArgs } from "node:util";
import { motoMissing } from "../support/moto.ts";
import { seeded } from "../support/seeded.ts";
import { awsBackend, embeddedBackend } from "./backend.ts";
import { type ChaosReport, runChaos } from "./scenario.ts";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "200" },
    seed: { type: "string", default: "1" },
    /** Between two kills, on average. */
    "every-ms": { type: "string", default: "4000" },
    /** One adapter only. */
    backend: { type: "string" },
    verbose: { type: "boolean", default: false },
  },
});
const kills = Number(values.kills);
const seed = Number(values.seed);

/** Share of the requests to store and queue that go wrong. */
const FAULT_RATE = 0.05;

async function main(): Promise<boolean> {
  const log = values.verbose ? (line: string) => console.error(line) : () => {};
  const reports: ChaosReport[] = [];
  const aws = motoMissing === null ? [() => awsBackend(seeded(seed + 100), FAULT_RATE)] : [];
  const all = { embedded: [() => embeddedBackend()], aws };
  const backends = Object.entries(all).flatMap(([name, open]) => ((values.backend ?? name) === name ? open : []));
  if (motoMissing !== null) console.log(`skipped S3 and SQS: ${motoMissing}`);
  for (const open of backends) {
    const backend = await open();
    try {
      const report = await runChaos(backend, {
        seed: seed + reports.length,
        kills,
        everyMs: Number(values["every-ms"]),
        clockMs: 10_000,
        webhooks: true,
        isShort: false,
        log,
      });
      reports.push(report);
      console.log(JSON.stringify(report, null, 2));
      if (backend.name === "embedded" && backend.disk === null)
        console.log("no disk was filled: it takes root to mount one");
    } finally {
      await backend.stop();
    }
  }
  const sum = (of: (report: ChaosReport) => number) => reports.reduce((total, report) => total + of(report), 0);
  const counted = ({ faults }: ChaosReport) => Object.values(faults).flatMap((counts) => Object.values(counts));
  const total = {
    kills: sum((report) => report.kills),
    faults: sum((report) =>
      [
        report.terminations,
        report.disks_filled,
        report.clock_jumps,
        report.duplicate_messages,
        ...counted(report),
      ].reduce((total, count) => total + count),
    ),
    jobs: sum((report) => report.jobs),
    lost: sum(({ findings }) => findings.lost.length),
    duplicated: sum(({ findings }) => findings.duplicated.length),
  };
  const broken = sum(({ findings }) => findings.broken.length);
  console.log(JSON.stringify(total));
  return total.lost + total.duplicated + broken === 0;
}

process.exitCode = (await main()) ? 0 : 1;
