import { PassThrough } from "node:stream";
import type { Environment } from "../../api/client/command/context.ts";
import { runCommand } from "../../api/client/command/program.ts";
import type { InterruptSignal, Terminal } from "../../api/client/command/terminal.ts";
import type { JobResult } from "../../api/contract/job-result.ts";
import { jobResult } from "./job-fixtures.ts";
import type { TestApp } from "./test-app.ts";

/** A terminal that keeps what is written to it. `answers` are typed, one for each question that is asked. */
export function createTestTerminal({ input = null as string | null, answers = null as string[] | null } = {}) {
  let out = "";
  let err = "";
  const handlers: ((signal: InterruptSignal) => void)[] = [];
  const asked: string[] = [];
  const stdin = Object.assign(new PassThrough(), input === null ? { isTTY: true } : {});
  if (input !== null) stdin.end(input);
  const sink = (take: (text: string) => void) => {
    const stream = new PassThrough();
    stream.on("data", (chunk) => take(String(chunk)));
    return stream;
  };
  const stdout = sink((text) => {
    out += text;
  });
  const stderr = sink((text) => {
    err += text;
  });
  const terminal: Terminal = {
    in: stdin,
    out: stdout,
    err: stderr,
    isInteractive: answers !== null,
    print: (line) => void stdout.write(`${line}\n`),
    say: (line) => void stderr.write(`${line}\n`),
    ask: async (question, signal) => {
      asked.push(question);
      const answer = answers?.shift();
      // Nobody types anything until the question is withdrawn.
      if (answer === undefined) await new Promise((_, reject) => signal.addEventListener("abort", reject));
      return answer ?? "";
    },
    onInterrupt(handler) {
      handlers.push(handler);
      return () => void handlers.splice(handlers.indexOf(handler), 1);
    },
  };
  return {
    terminal,
    asked,
    interrupt: (signal: InterruptSignal = "SIGINT") => {
      handlers.at(-1)?.(signal);
    },
    get out() {
      return out;
    },
    get err() {
      return err;
    },
  };
}

type Options = {
  fetch: typeof fetch;
  input?: string | null;
  env?: Environment;
  terminal?: ReturnType<typeof createTestTerminal>;
};

/** Runs `gnomon ARGS` in this process. */
export async function runGnomon(args: string[], { fetch, input = null, env = {}, terminal: given }: Options) {
  const test = given ?? createTestTerminal({ input });
  const status = await runCommand(args, { env, terminal: test.terminal, fetch, now: Date.now, version: "1.2.3" });
  return { status, out: test.out, err: test.err };
}

/** `fetch` of the app itself, without a socket. */
export const fetchOf =
  (app: TestApp): typeof fetch =>
  async (input, init) =>
    app.app.request(new Request(input, init));

export const isSubmit = (input: string | URL | Request, init?: RequestInit): boolean =>
  init?.method === "POST" && new URL(new Request(input).url).pathname === "/v1/jobs";

/** As `fetchOf`, with every job answered as soon as it is submitted, by what `answer` says of document and question. */
export function fetchAnswered(app: TestApp, answer: (document: string, question: string) => string): typeof fetch {
  const send = fetchOf(app);
  return async (input, init) => {
    const response = await send(input, init);
    if (isSubmit(input, init) && response.status === 202) {
      const { id } = (await response.clone().json()) as { id: string };
      await answerJob(app, id, answer);
    }
    return response;
  };
}

async function answerJob(app: TestApp, id: string, answer: (document: string, question: string) => string) {
  const claim = await app.claim(id);
  const request = await app.state.jobs.getRequest("default", id);
  if (request?.input.kind !== "questions") throw new Error("only questions are answered here");
  const { document_ids: ids, questions } = request.input;
  const texts = await Promise.all(ids.map((document) => app.state.documents.getDocumentText("default", document)));
  const [first, ...rest] = questions.map((question) => {
    const [entry] = jobResult(id, 1, answer(texts.join("\n\n"), question)).answers;
    if (entry === undefined) throw new Error("a result without an answer");
    return { ...entry, question };
  });
  const result: JobResult = { ...jobResult(id, 1), answers: first === undefined ? [] : [first, ...rest] };
  await app.state.jobs.settleSucceeded(claim, result);
}
