import { counted } from "../../contract/counted.ts";
import type { Job } from "../../contract/job-resource.ts";
import type { JobQuestion } from "../client.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./errors.ts";
import { type QuestionOptions, questionOf } from "./question-options.ts";
import { openSource } from "./source-file.ts";
import { uploadDocument } from "./upload.ts";

/** Sends the files, then what is asked of them. Without files, what is piped in is the document. */
export async function submitQuestion(context: Context, files: string[], options: QuestionOptions): Promise<Job> {
  const { client, terminal, note } = context;
  const question = questionOf(options);
  const paths = files.length > 0 ? files : pipedIn(context);
  if (paths.filter((path) => path === "-").length > 1) throw new UsageError("Standard input can be read once only.");
  // All are looked at before the first is sent.
  const sources = await Promise.all(paths.map((path) => openSource(path, terminal, options.type)));
  const documents: { id: string }[] = [];
  for (const source of sources) documents.push({ id: (await uploadDocument(context, source)).id });

  const [first] = documents;
  const of = documents.length === 1 && first ? { document: first } : { documents };
  const job = await client.submit({ ...question, ...of } as JobQuestion, { idempotencyKey: options.idempotencyKey });
  note(`Job ${job.id}: ${counted(job.progress.prompt_tokens, "token")}.`);
  return job;
}

function pipedIn({ terminal }: Context): string[] {
  if (terminal.in.isTTY === true) {
    throw new UsageError("Which document? Name a file, or pipe text in; `gnomon ask --help` shows how.");
  }
  return ["-"];
}
