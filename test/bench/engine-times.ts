import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";

const Row = z.object({ prompt_tokens: z.number(), prefill_seconds: z.number(), decode_step_ms: z.number() });
export type Row = z.infer<typeof Row>;

const BENCH = fileURLToPath(new URL("../../native/bench/engine.ts", import.meta.url));
const run = promisify(execFile);

/** What `bench:engine` measures of prompts of these lengths, one after the other, with the default cache. */
export async function measureEngine(lengths: readonly number[]): Promise<Row[]> {
  const options = { prompts: lengths.join(), batches: "1", caches: "shadowkv", steps: "64" };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  const { stdout } = await run(process.execPath, [BENCH, "--json", ...args]);
  return z.object({ rows: z.array(Row) }).parse(JSON.parse(stdout)).rows;
}

type Line = { promptTokens: number; completionTokens: number };

/** What the engine alone would take for the lines: prefill and as many decode steps as the answer has tokens. */
export function engineSeconds(rows: readonly Row[], lines: readonly Line[]): number {
  const prefill = rows.map(({ prompt_tokens, prefill_seconds }) => ({ x: prompt_tokens, y: prefill_seconds }));
  const step = rows.map(({ prompt_tokens, decode_step_ms }) => ({ x: prompt_tokens, y: decode_step_ms / 1000 }));
  return lines.reduce(
    (sum, { promptTokens, completionTokens }) =>
      sum + interpolate(prefill, promptTokens) + completionTokens * interpolate(step, promptTokens),
    0,
  );
}

type Point = { x: number; y: number };

/** On the straight line between the neighbours of `x`, or beyond the points on that of the nearest two. `points` ascend. */
export function interpolate(points: readonly Point[], x: number): number {
  const next = points.findIndex((point) => point.x >= x);
  const after = Math.max(1, next === -1 ? points.length - 1 : next);
  const [a, b] = [points[after - 1], points[after]];
  if (a === undefined || b === undefined) throw new Error("a straight line needs two points");
  return a.y + ((x - a.x) * (b.y - a.y)) / (b.x - a.x);
}
