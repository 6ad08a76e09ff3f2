import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SampleQuestions } from "../../infra/local/sample-report.ts";
import { startService } from "../../infra/local/service.ts";

const SAMPLE = new URL("../../native/models/needle/sample/", import.meta.url);

export const readSample = async () => ({
  text: await readFile(new URL("document.txt", SAMPLE), "utf8"),
  questions: SampleQuestions.parse(JSON.parse(await readFile(new URL("questions.json", SAMPLE), "utf8"))),
});

/** The api and worker processes with the real engine, on embedded state of their own. */
export async function startRealService(env: NodeJS.ProcessEnv = {}) {
  const directory = await mkdtemp(join(tmpdir(), "gnomon-e2e-"));
  const lines: string[] = [];
  const remove = () => rm(directory, { recursive: true, force: true });
  const service = await startService({
    env: { ...process.env, GNOMON_STATE_DIR: directory, GNOMON_PORT: "0", ...env },
    onLine: (name, line) => void lines.push(`${name} ${line}`),
    signal: AbortSignal.timeout(60_000),
  }).catch(async (error) => {
    await remove();
    throw error;
  });
  return {
    ...service,
    /** What both processes wrote. */
    lines,
    async [Symbol.asyncDispose]() {
      await service.stop();
      await remove();
    },
  };
}
