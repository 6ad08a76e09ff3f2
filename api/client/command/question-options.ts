import { InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { DocumentType } from "../../contract/document.ts";
import { describeIssues } from "../../contract/issues.ts";
import { Priority } from "../../contract/job.ts";
import { CreateJob } from "../../contract/job-request.ts";
import { limits } from "../../contract/limits.ts";
import type { JobQuestion } from "../client.ts";
import { createCommand } from "./command.ts";
import { UsageError } from "./errors.ts";
import { parseIdempotencyKey, parseNumber } from "./parse-option.ts";

/** A command that asks something: `ask` and `submit`. */
export const createQuestionCommand = (name: string, description: string) =>
  createCommand(name, description)
    .argument("[file...]", "text, Markdown, HTML or PDF, read one after the other; - or a pipe is standard input")
    .option("-q, --question <text>", "what is asked of the documents; may be given several times", collect)
    .addOption(
      new Option("--type <type>", "of the files, if their names and first bytes do not tell").choices(
        DocumentType.options,
      ),
    )
    .option("--model <id>", "which model (default: the one that is served)")
    .option("--max-tokens <n>", `most tokens of each answer (default: ${limits.defaultMaxTokens})`, parseNumber)
    .option("--temperature <t>", "0 takes the likeliest token each time", parseNumber)
    .option("--top-p <p>", "share of the likeliest tokens to choose from", parseNumber)
    .option("--seed <n>", "the same seed gives the same answer", parseNumber)
    .addOption(new Option("--priority <p>", "high goes before normal, and normal before low").choices(Priority.options))
    .option("--ttl <seconds>", "the job expires if it is not over by then", parseNumber)
    .option("--max-total-tokens <n>", "hard cap on prompt and answers together", parseNumber)
    .option("--max-cost <sum>", "hard cap on the cost, where the service has prices", parseNumber)
    .option("--metadata <key=value>", "kept with the job; may be given several times", collectPair)
    .option("--webhook <url>", "told when the job is over")
    .option(
      "--idempotency-key <key>",
      "the same key and question make one job, however often they are sent",
      parseIdempotencyKey,
    );

export type QuestionOptions = ReturnType<ReturnType<typeof createQuestionCommand>["opts"]>;

/** The request without its documents. */
export function questionOf(options: QuestionOptions): Omit<JobQuestion, "document" | "documents"> {
  const { question: questions = [] } = options;
  if (questions.length === 0) throw new UsageError('What is asked? Give a question: -q "When does it expire?".');
  const question = withoutUndefined({
    ...(questions.length === 1 ? { question: questions[0] } : { questions }),
    model: options.model,
    max_tokens: options.maxTokens,
    temperature: options.temperature,
    top_p: options.topP,
    seed: options.seed,
    priority: options.priority,
    ttl_seconds: options.ttl,
    max_total_tokens: options.maxTotalTokens,
    max_cost: options.maxCost,
    metadata: options.metadata,
    webhook: options.webhook === undefined ? undefined : { url: options.webhook },
  });
  refuseInvalid(question);
  return question;
}

/** Before any document is sent. What depends on the model is the service's to say. */
function refuseInvalid(question: object): void {
  const parsed = CreateJob.safeParse({ ...question, document: { id: "any" } });
  const [first] = parsed.success ? [] : describeIssues(parsed.error.issues);
  if (first !== undefined) throw new UsageError(`${optionOf(first.field)} ${first.detail}.`);
}

const OPTIONS: Record<string, string> = { question: "-q", questions: "-q", ttl_seconds: "--ttl" };

/** `max_tokens` → `--max-tokens`, `questions[1]` → `-q`. */
function optionOf(field: string): string {
  const [name = ""] = field.split(/[.[]/);
  return OPTIONS[name] ?? `--${name.replaceAll("_", "-")}`;
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

const withoutUndefined = <T extends object>(object: T): Defined<T> =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Defined<T>;

const collect = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];

function collectPair(text: string, before: Record<string, string> | undefined): Record<string, string> {
  const [key = "", ...rest] = text.split("=");
  if (key === "" || rest.length === 0) throw new InvalidArgumentError("It must be like key=value.");
  return { ...before, [key]: rest.join("=") };
}
