// `npm run quickstart`: a long document through the whole service, and the right answers out.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { askSample } from "./ask-sample.ts";
import { watchInterrupts } from "./interrupts.ts";
import { formatLogLine } from "./log-line.ts";
import { formatReport, reportSample, SampleQuestions } from "./sample-report.ts";
import { startService } from "./service.ts";

const MODEL = fileURLToPath(new URL("../../native/models/needle", import.meta.url));

const { first: interrupted } = watchInterrupts();

async function main(): Promise<number> {
  const { json } = parseArgs({ options: { json: { type: "boolean", default: false } } }).values;
  const say = json ? () => {} : (line: string) => console.log(line);
  const text = await readFile(join(MODEL, "sample", "document.txt"), "utf8");
  const questions = SampleQuestions.parse(JSON.parse(await readFile(join(MODEL, "sample", "questions.json"), "utf8")));

  // Nothing of this run outlives it, and nothing of an earlier one is in its way.
  const directory = await mkdtemp(join(tmpdir(), "gnomon-quickstart-"));
  const state = { GNOMON_STATE: "embedded", GNOMON_STATE_DIR: directory };
  const env = { ...process.env, ...state, GNOMON_MODEL: MODEL, GNOMON_HOST: "127.0.0.1", GNOMON_PORT: "0" };
  const log: string[] = [];
  try {
    say("Starting api and worker ...");
    const onLine = (name: string, line: string) => void log.push(formatLogLine(name, line));
    const service = await startService({ env, onLine, signal: interrupted });
    try {
      const { documentId, result } = await askSample({ service, text, questions, say, signal: interrupted });
      const report = reportSample(questions, result);
      console.log(json ? JSON.stringify(report) : formatReport(report, result, documentId));
      return report.ok ? 0 : 1;
    } finally {
      await service.stop();
    }
  } catch (error) {
    if (interrupted.aborted) return 130;
    console.error([...log.slice(-20), ""].join("\n"));
    throw error;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

main().then(
  (status) => process.exit(status),
  (error: Error) => {
    console.error(`The quickstart failed: ${error.message}`);
    process.exit(1);
  },
);
