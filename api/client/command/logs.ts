import { counted } from "../../contract/counted.ts";
import { isTerminal, type JobProgress } from "../../contract/job.ts";
import type { Job } from "../../contract/job-resource.ts";
import type { JobEvent } from "../job-events.ts";
import { createCommand, type Run } from "./command.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit-status.ts";
import { interruptible } from "./interruptible.ts";
import { parseJobId } from "./parse-option.ts";
import { assertSucceeded } from "./wait-for-job.ts";

export const logsCommand = (run: Run) =>
  createCommand("logs", "what has happened to a job; its text as well with --follow")
    .argument("<job>", "its id", parseJobId)
    .option("-f, --follow", "go on until the job is over, with the text as it is generated")
    .action((id, options) =>
      run(options, async (context) => {
        if (options.follow) return follow(context, id);
        const job = await context.client.get(id);
        const { terminal, json } = context;
        terminal.print(json ? JSON.stringify(job) : history(job, context.now()).join("\n"));
        return EXIT.done;
      }),
    );

const clock = (ms: number): string => new Date(ms).toISOString().slice(11, 19);
const count = (value: number): string => value.toLocaleString("en-US");

const progressLine = ({
  prefill_tokens,
  prompt_tokens,
  generated_tokens,
  questions_done,
  questions_total,
}: JobProgress) =>
  `prefill ${count(prefill_tokens)} of ${counted(prompt_tokens, "token")}, ${count(generated_tokens)} decoded, ` +
  `${questions_done} of ${counted(questions_total, "answer")}`;

const at = (seconds: number, text: string): string => `${clock(seconds * 1000)} ${text}`;

function beginning({ created_at, started_at, attempt, engine }: Job): string[] {
  const where = engine === null ? "" : `, ${engine.cache.kind} on ${engine.device}`;
  const queued = at(created_at, "queued");
  return started_at === null ? [queued] : [queued, at(started_at, `running, attempt ${attempt}${where}`)];
}

const ending = ({ finished_at, status, error }: Job, nowMs: number): string =>
  at(finished_at ?? nowMs / 1000, error === null ? status : `${status}: ${error.message}`);

const history = (job: Job, nowMs: number): string[] => [
  ...beginning(job),
  ...(job.started_at === null ? [] : [`         ${progressLine(job.progress)}`]),
  ...(job.finished_at === null ? [] : [ending(job, nowMs)]),
];

async function follow(context: Context, id: string): Promise<number> {
  const { client, terminal, progress, json, now } = context;
  const write = json
    ? (event: JobEvent) => terminal.print(JSON.stringify(event))
    : createLogWriter(terminal.print, now, await client.get(id));
  const options = {
    terminal,
    progress,
    what: `job ${id}`,
    cancel: () => client.cancel(id),
    later: `\`gnomon logs -f ${id}\` comes back to it.`,
  };
  const ended = await interruptible(options, async (signal) => {
    for await (const event of client.events(id, signal)) {
      write(event);
      if (event.event === "done") return event.data;
    }
    return client.get(id);
  });
  assertSucceeded(ended);
  return EXIT.done;
}

/** Between two lines of progress. */
const PROGRESS_MS = 2_000;

/**
 * Lines for what has happened, and for events from then on. Text comes in pieces: it is written a line at a time, with the
 * number of its answer.
 */
function createLogWriter(print: (line: string) => void, now: () => number, job: Job): (event: JobEvent) => void {
  for (const line of beginning(job)) print(line);
  let known: Pick<Job, "status" | "attempt"> = job;
  const partial = new Map<number, string>();
  let toldMs = 0;
  const log = (text: string) => print(`${clock(now())} ${text}`);
  const textLine = (index: number, text: string) => print(`  [${index + 1}] ${text}`);
  const flush = () => {
    for (const [index, text] of partial) if (text !== "") textLine(index, text);
    partial.clear();
  };

  return (event) => {
    switch (event.event) {
      case "state":
        // The end comes as `done` too, after the rest of the text.
        if (isTerminal(event.data.status) || isSame(event.data, known)) return;
        known = event.data;
        log(event.data.status === "running" ? `running, attempt ${event.data.attempt}` : event.data.status);
        return;
      case "progress":
        // It says how far it came, and not when.
        if (isTerminal(job.status)) return;
        if (now() - toldMs < PROGRESS_MS && event.data.questions_done < event.data.questions_total) return;
        toldMs = now();
        log(progressLine(event.data));
        return;
      case "reset":
        partial.clear();
        log("another attempt begins: what was written before does not count");
        return;
      case "text": {
        const { index, text } = event.data;
        const lines = `${partial.get(index) ?? ""}${text}`.split("\n");
        partial.set(index, lines.pop() ?? "");
        for (const line of lines) textLine(index, line);
        return;
      }
      case "done":
        flush();
        print(ending(event.data, now()));
    }
  };
}

const isSame = (a: Pick<Job, "status" | "attempt">, b: Pick<Job, "status" | "attempt">): boolean =>
  a.status === b.status && a.attempt === b.attempt;
