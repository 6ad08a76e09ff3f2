import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";

/** As KINDS in tasks.py. */
export const TASKS = ["niah", "fact", "multivalue", "multiquery", "decisions", "absent", "variable_tracking"] as const;
export type Task = (typeof TASKS)[number];

const TestDocument = z.object({ kind: z.enum(TASKS), document: z.string(), question: z.string(), answer: z.string() });
/** A document with a question about it and the one right answer. */
export type TestDocument = z.infer<typeof TestDocument>;

const GENERATOR = fileURLToPath(new URL("../models/needle/training/tasks.py", import.meta.url));
const run = promisify(execFile);

/** Documents whose prompts are about `tokens` tokens long; the same for the same arguments. Needs python3. */
export async function makeDocuments(task: Task, tokens: number, count: number, seed: number): Promise<TestDocument[]> {
  const args = { kind: task, tokens, count, seed };
  const flags = Object.entries(args).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const { stdout } = await run("python3", [GENERATOR, ...flags], { maxBuffer: 2 ** 30 });
  const lines = stdout.trimEnd().split("\n");
  return lines.map((line) => TestDocument.parse(JSON.parse(line)));
}
