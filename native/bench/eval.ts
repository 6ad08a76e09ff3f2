// How well long documents are answered with each cache: exact match of the whole answer, on fresh documents.
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { EngineError } from "../engine-error.ts";
import { loadEngine, type Progress } from "../index.ts";
import { loadPrompts, type Prompts } from "../prompt/prompt.ts";
import { makeDocuments, type Task } from "./documents.ts";
import { type Bar, startBar } from "./eval-bar.ts";
import { type EvalOptions, type NamedCache, parseEvalOptions, USAGE } from "./eval-options.ts";

const MODEL_DIR = fileURLToPath(new URL("../models/needle", import.meta.url));
/** More than any right answer takes. */
const MAX_NEW_TOKENS = 200;

type Cell = { task: Task; length: number };
type Case = Cell & { tokens: Uint32Array; answer: string };
type Row = Cell & {
  cache: NamedCache["name"];
  /** Right answers per document, from 0 to 1. */
  score: number;
  n: number;
  prompt_tokens_mean: number;
  sparse_budget: number | null;
};

async function evaluate(options: EvalOptions): Promise<Row[]> {
  const prompts = await loadPrompts(MODEL_DIR);
  const cells = options.tasks.flatMap((task) => options.lengths.map((length) => ({ task, length })));
  const cases = (await Promise.all(cells.map((cell) => makeCases(cell, options, prompts)))).flat();
  const progress = startBar(cases, options.caches.length);
  const rows: Row[] = [];
  const answered: Record<string, string[]> = {};
  try {
    for (const cache of options.caches) {
      const answers = await answerAll(cases, cache, options, prompts, progress);
      answered[cache.name] = answers;
      rows.push(...cells.map((cell) => scoreCell(cell, cache, cases, answers)));
    }
  } finally {
    progress.stop();
  }
  if (options.answersFile !== null) await writeFile(options.answersFile, JSON.stringify(answered));
  return rows;
}

async function makeCases(cell: Cell, options: EvalOptions, prompts: Prompts): Promise<Case[]> {
  const documents = await makeDocuments(cell.task, cell.length, options.documents, options.seed);
  return Promise.all(
    documents.map(async (made) => ({ ...cell, tokens: await prompts.encode(made), answer: made.answer })),
  );
}

/** All cases at once: the engine batches as many as its memory holds. */
async function answerAll(
  cases: Case[],
  cache: NamedCache,
  { device, dtype }: Pick<EvalOptions, "device" | "dtype">,
  prompts: Prompts,
  progress: Bar,
): Promise<string[]> {
  const engine = await loadEngine({ modelDir: MODEL_DIR, device, dtype, cache: cache.options });
  try {
    return await Promise.all(
      cases.map(async ({ tokens }) => {
        let read = 0;
        const onProgress = ({ prefillTokens }: Progress) => {
          progress.addTokens(prefillTokens - read);
          read = prefillTokens;
        };
        const generated = await engine.generate({ tokens, maxNewTokens: MAX_NEW_TOKENS }, { onProgress });
        progress.addAnswer();
        return prompts.decode(generated.tokens);
      }),
    );
  } finally {
    await engine.close();
  }
}

function scoreCell({ task, length }: Cell, cache: NamedCache, cases: Case[], answers: string[]): Row {
  const inCell = cases.flatMap((one, i) =>
    one.task === task && one.length === length
      ? [{ isRight: answers[i] === one.answer, promptTokens: one.tokens.length }]
      : [],
  );
  return {
    task,
    length,
    cache: cache.name,
    score: inCell.filter((one) => one.isRight).length / inCell.length,
    n: inCell.length,
    prompt_tokens_mean: Math.round(inCell.reduce((sum, one) => sum + one.promptTokens, 0) / inCell.length),
    sparse_budget: cache.sparseBudget,
  };
}

async function main(): Promise<void> {
  const options = parseEvalOptions(process.argv.slice(2), Date.now());
  console.error(`seed ${options.seed}`);
  const rows = await evaluate(options);
  console.table(rows);
  if (options.json) console.log(JSON.stringify({ rows }));
}

try {
  await main();
} catch (error) {
  // The code of a child process that failed is its exit status.
  const isUsage = String((error as { code?: unknown }).code).startsWith("ERR_PARSE_ARGS");
  if (!isUsage && !(error instanceof EngineError)) throw error;
  console.error((error as Error).message);
  if (isUsage) console.error(USAGE);
  process.exitCode = 1;
}
