import { stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { Option } from "@commander-js/extra-typings";
import pLimit from "p-limit";
import { counted } from "../../contract/counted.ts";
import { Priority } from "../../contract/job.ts";
import { accepted } from "../request.ts";
import { findDocuments } from "../summarize/find-documents.ts";
import { openJournal } from "../summarize/journal.ts";
import { type SummaryRecord, writeTables } from "../summarize/outputs.ts";
import { createStep } from "../summarize/step.ts";
import { COMBINE, type Combine, type Settings } from "../summarize/summarize-document.ts";
import { summarizeFolder } from "../summarize/summarize-folder.ts";
import { createCommand, type Run } from "./command.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./errors.ts";
import { EXIT } from "./exit-status.ts";
import { createFolderProgress } from "./folder-progress.ts";
import { interruptible } from "./interruptible.ts";
import { parseCount } from "./parse-option.ts";

const MAX_TOKENS = 512;
const AT_ONCE = 16;
const INSTRUCTIONS = "Summarize the provided text.";
/** The bundled model answers this wording and no other, and it cannot make one list of several. */
const OF_MODEL: Record<string, { instructions: string; combine: Combine }> = {
  needle: { instructions: "Summarize the decisions recorded in the provided text.", combine: "join" },
};

export const summarizeCommand = (run: Run) =>
  createCommand("summarize", "summarise every text, Markdown, HTML and PDF document of a folder")
    .argument("<folder>", "with its subfolders; hidden files and links are left out")
    .option("-o, --output <folder>", "where the summaries go (default: FOLDER-summaries)")
    .option("--instructions <text>", "what the summary is to be (default: a plain summary)")
    .option("--max-tokens <n>", "most tokens of a summary", parseCount, MAX_TOKENS)
    .option("--section-tokens <n>", "longer documents are split (default: what the model takes)", parseCount)
    .addOption(
      new Option("--combine <how>", "what is made of the summaries of sections (default: summarize)").choices(COMBINE),
    )
    .option("--at-once <n>", "jobs that run or wait at the same time", parseCount, AT_ONCE)
    .addOption(new Option("--priority <p>", "of its jobs").choices(Priority.options))
    .action((folder, options) =>
      run(options, async (context) => {
        const source = resolve(folder);
        const found = await kindOf(source);
        if (found === "file") throw new UsageError(`${folder} is no folder: \`gnomon ask\` takes files.`);
        if (found === null) throw new UsageError(`There is no folder ${folder}.`);
        const output = resolve(options.output ?? join(dirname(source), `${basename(source)}-summaries`));
        if (output === source)
          throw new UsageError("The summaries cannot go among the documents: name another --output.");
        if ((await kindOf(output)) === "file") {
          throw new UsageError(`${relative(".", output)} is no folder: name another --output.`);
        }
        return summarize(context, { ...options, source, output });
      }),
    );

/** null where there is nothing. */
async function kindOf(path: string): Promise<"folder" | "file" | null> {
  const found = await stat(path).catch(() => null);
  if (found === null) return null;
  return found.isDirectory() ? "folder" : "file";
}

type Options = {
  source: string;
  output: string;
  instructions?: string | undefined;
  maxTokens: number;
  sectionTokens?: number | undefined;
  combine?: Combine | undefined;
  atOnce: number;
  priority?: Priority | undefined;
};

async function summarize(context: Context, options: Options): Promise<number> {
  const { client, terminal, progress, note, json } = context;
  const { source, output, atOnce } = options;
  const paths = await findDocuments(source, output);
  if (paths.length === 0) throw new UsageError(`There is no text, Markdown, HTML or PDF document in ${source}.`);
  const { model, settings } = await settingsOf(context, options);
  const journal = await openJournal(join(output, "state.jsonl"), () => crypto.randomUUID()).catch(
    ({ code }: NodeJS.ErrnoException) => {
      throw new UsageError(`Cannot write to ${relative(".", output)} (${code}): name another --output.`);
    },
  );
  const records = new Map<string, SummaryRecord>();
  const bars = createFolderProgress(progress, paths.length);

  try {
    await interruptible(
      {
        terminal,
        progress,
        what: "the jobs that are under way",
        cancel: () => Promise.allSettled(bars.runningJobs().map((id) => client.cancel(id))),
        later: "The same command goes on from here.",
      },
      (signal) =>
        summarizeFolder({
          folder: source,
          output,
          paths,
          settings,
          client,
          signal,
          limit: pLimit(atOnce),
          step: createStep({
            client,
            journal,
            model,
            maxTokens: settings.maxTokens,
            priority: options.priority,
            limit: pLimit(atOnce),
            signal,
            onProgress: bars.onJob,
          }),
          onRecord(record) {
            records.set(record.path, record);
            bars.onRecord(record);
          },
        }),
    );
  } finally {
    progress.stop();
    await writeTables(output, recordsOf(paths, records));
    await journal.close();
  }

  const all = recordsOf(paths, records);
  for (const { path, error } of all) if (error !== null) note(`${path}: ${error}`);
  const report = reportOf(output, all);
  if (json) terminal.print(JSON.stringify(report));
  else
    terminal.print(
      `${report.succeeded} of ${counted(report.documents, "document")} ${report.succeeded === 1 ? "is" : "are"} summarised in ${relative(".", output)}`,
    );
  return report.failed === 0 ? EXIT.done : EXIT.failed;
}

async function settingsOf({ client }: Context, options: Options): Promise<{ model: string; settings: Settings }> {
  const { data } = await accepted("GET /v1/models", await client.routes.v1.models.$get());
  const [model] = data;
  if (model === undefined) throw new UsageError("The service serves no model.");
  const { maxTokens, sectionTokens = model.context_tokens, instructions, combine } = options;
  if (maxTokens >= model.context_tokens) {
    throw new UsageError(
      `--max-tokens ${maxTokens} leaves no room for a document: ${model.id} takes ` +
        `${counted(model.context_tokens, "token")}, prompt and answer together.`,
    );
  }
  const settings = {
    instructions: instructions ?? OF_MODEL[model.id]?.instructions ?? INSTRUCTIONS,
    combine: combine ?? OF_MODEL[model.id]?.combine ?? "summarize",
    maxTokens,
    contextTokens: model.context_tokens,
    sectionTokens,
  };
  return { model: model.id, settings };
}

/** In the order of their paths, those that a run did not come to as well. */
const recordsOf = (paths: readonly string[], records: ReadonlyMap<string, SummaryRecord>): SummaryRecord[] =>
  paths.map((path) => records.get(path) ?? { ...PENDING, path });

const PENDING: Omit<SummaryRecord, "path"> = {
  status: "pending",
  summary: null,
  duplicate_of: null,
  sections: 0,
  prompt_tokens: 0,
  cached_tokens: 0,
  completion_tokens: 0,
  truncated: false,
  jobs: [],
  error: null,
};

function reportOf(output: string, records: readonly SummaryRecord[]) {
  const count = (holds: (record: SummaryRecord) => boolean) => records.filter(holds).length;
  const sum = (name: "prompt_tokens" | "cached_tokens" | "completion_tokens") =>
    records.reduce((total, record) => total + record[name], 0);
  return {
    output,
    documents: records.length,
    succeeded: count(({ status }) => status === "succeeded"),
    failed: count(({ status }) => status === "failed"),
    duplicates: count(({ duplicate_of }) => duplicate_of !== null),
    split: count(({ sections }) => sections > 1),
    prompt_tokens: sum("prompt_tokens"),
    cached_tokens: sum("cached_tokens"),
    completion_tokens: sum("completion_tokens"),
  };
}
