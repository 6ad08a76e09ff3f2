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
    /** One adapter only. */
    backend: { type: "string" },
    verbose: { type: "boolean", default: false },
  },
});
const kills = Number(values.kills);
const seed = Number(values.seed);

async function main(): Promise<boolean> {
  const log = values.verbose ? (line: string) => console.error(line) : () => {};
  const reports: ChaosReport[] = [];
  const aws = motoMissing === null ? [() => awsBackend(seeded(seed + 100), 0.03)] : [];
  const all = { embedded: [() => embeddedBackend()], aws };
  const backends = Object.entries(all).flatMap(([name, open]) => ((values.backend ?? name) === name ? open : []));
  if (motoMissing !== null) console.log(`skipped S3 and SQS: ${motoMissing}`);
  for (const open of backends) {
    const backend = await open();
    try {
      const share = Math.ceil(kills / backends.length);
      const report = await runChaos(backend, {
        seed: seed + reports.length,
        kills: share,
        everyMs: 1_500,
        clockMs: 10_000,
        webhooks: true,
        isApiSpared: false,
        log,
      });
      reports.push(report);
      console.log(JSON.stringify(report, null, 2));
    } finally {
      await backend.stop();
    }
  }
  const sum = (of: (report: ChaosReport) => number) => reports.reduce((total, report) => total + of(report), 0);
  const faults = sum((report) => Object.values(report.faults).reduce((total, count) => total + count, 0));
  const total = {
    kills: sum((report) => report.kills),
    faults: faults + sum((report) => report.duplicate_messages + report.terminations),
    jobs: sum((report) => report.jobs),
    lost: sum(({ findings }) => findings.lost.length),
    duplicated: sum(({ findings }) => findings.duplicated.length),
  };
  const broken = sum(({ findings }) => findings.broken.length);
  console.log(JSON.stringify(total));
  return total.lost + total.duplicated + broken === 0;
}

process.exitCode = (await main()) ? 0 : 1;
