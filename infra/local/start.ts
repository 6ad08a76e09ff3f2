// `npm start`: api and worker in the foreground until Ctrl-C.
import { aborted, watchInterrupts } from "./interrupts.ts";
import { formatLogLine } from "./log-line.ts";
import { startService } from "./service.ts";

const CACHES: Record<string, string> = { shadowkv: "ShadowKV", full: "full attention" };

const { first, second } = watchInterrupts();

async function main(): Promise<number> {
  const onLine = (name: string, line: string) => console.log(formatLogLine(name, line));
  const service = await startService({ env: process.env, onLine, signal: first });
  const { url, model, access, cache, device } = service;
  console.log(`Gnomon listens on ${url} (model ${model}, ${CACHES[cache]} on ${device})`);
  if (access === "open") {
    console.log(
      "It asks for no API key: only this machine can reach it. `npm run keys -- create` makes the first key.",
    );
  }

  const broken = await Promise.race([service.broken, aborted(first)]);
  if (broken !== undefined) {
    console.error(`${broken}; the other process was stopped as well.`);
    return 1;
  }
  console.log("Stopping: running jobs may finish. Ctrl-C once more ends them.");
  void aborted(second).then(service.stop);
  await service.stop();
  return 0;
}

main().then(
  (status) => process.exit(status),
  (error: Error) => {
    console.error(first.aborted ? "Stopped before it was ready." : error.message);
    process.exit(1);
  },
);
