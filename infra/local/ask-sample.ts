import { createClient } from "../../api/client/client.ts";
import { jobProgress } from "../../api/client/command/job-progress.ts";
import { createProgress } from "../../api/client/command/progress.ts";
import type { JobResult } from "../../api/contract/job-result.ts";
import type { SampleQuestions } from "./sample-report.ts";
import type { Service } from "./service.ts";

/** The bar is to move. */
const POLL_MS = 200;

type Options = {
  service: Service;
  text: string;
  questions: SampleQuestions;
  say: (line: string) => void;
  signal: AbortSignal;
};

/** Sends the document once, asks all questions of it in one job, and shows the progress until the answers are there. */
export async function askSample({
  service,
  text,
  questions,
  say,
  signal,
}: Options): Promise<{ documentId: string; result: JobResult }> {
  const client = createClient(service.url);
  const document = await client.sendDocument(text);
  say(`POST /v1/documents  ${document.bytes.toLocaleString("en-US")} bytes of minutes and memos: ${document.id}`);
  const job = await client.submit({
    document: { id: document.id },
    questions: questions.map(({ question }) => question),
  });
  say(`POST /v1/jobs       ${questions.length} questions about it: ${job.id}`);

  const bars = createProgress(process.stderr);
  const gone = service.broken.then((how) => Promise.reject(new Error(how)));
  try {
    const ended = await Promise.race([
      client.wait(job, { signal, pollMs: POLL_MS, onProgress: (look) => bars.show(jobProgress(look)) }),
      gone,
    ]);
    if (ended.status !== "succeeded") throw new Error(`the job is ${ended.status}: ${ended.error?.message}`);
  } finally {
    gone.catch(() => undefined);
    bars.stop();
  }
  return { documentId: document.id, result: await client.result(job) };
}
