import { z } from "zod";

/** What the worker's log says of a line that was answered: `time` is its end. */
export const AnsweredLine = z.object({
  time: z.number(),
  job: z.string(),
  usage: z.object({
    prompt_tokens: z.number(),
    completion_tokens: z.number(),
    prompt_tokens_details: z.object({ cached_tokens: z.number() }),
  }),
  timings: z.object({ queue_ms: z.number(), prefill_ms: z.number(), decode_ms: z.number() }),
});
export type AnsweredLine = z.infer<typeof AnsweredLine>;

/** Of a batch, in ms since the epoch. */
export type Moments = {
  createdMs: number;
  /** Its lines are valid. */
  validatedMs: number;
  /** Its shards were claimed by a worker. */
  claimedMs: readonly number[];
  completedMs: number;
};

type Span = { startMs: number; endMs: number };

/** While the engine had a sequence in prefill or decode. */
const spanOf = ({ time, timings }: AnsweredLine): Span => ({
  startMs: time - timings.decode_ms - timings.prefill_ms,
  endMs: time,
});

/** The same time as the spans cover, in order and without overlaps. */
export function union(spans: readonly Span[]): Span[] {
  const merged: Span[] = [];
  for (const { startMs, endMs } of spans.toSorted((a, b) => a.startMs - b.startMs)) {
    const last = merged.at(-1);
    if (last !== undefined && startMs <= last.endMs) last.endMs = Math.max(last.endMs, endMs);
    else merged.push({ startMs, endMs });
  }
  return merged;
}

/**
 * Where the wall time of a batch went, by what the engine waited for or did; the parts add up to the whole. `busyShare` is
 * that of the time between the first line's start, which is the claim of its shard, and the last line's end.
 */
export function divide(lines: readonly AnsweredLine[], moments: Moments) {
  const { createdMs, validatedMs, claimedMs, completedMs } = moments;
  const busy = union(lines.map(spanOf));
  const [first, last] = [busy[0], busy.at(-1)];
  if (first === undefined || last === undefined) throw new Error("no line was answered");
  const firstClaimMs = Math.min(...claimedMs);
  const busyMs = busy.reduce((sum, { startMs, endMs }) => sum + endMs - startMs, 0);
  const lastPrefillMs = Math.max(...lines.map(({ time, timings }) => time - timings.decode_ms));
  return {
    wallMs: completedMs - createdMs,
    validationMs: validatedMs - createdMs,
    shardsMs: firstClaimMs - validatedMs,
    tokenisingMs: first.startMs - firstClaimMs,
    busyMs,
    idleMs: last.endMs - first.startMs - busyMs,
    gatheringMs: completedMs - last.endMs,
    /** Of busyMs: no prompt is left to prefill, and the last answers decode. */
    raggedEndMs: last.endMs - lastPrefillMs,
    busyShare: busyMs / (last.endMs - firstClaimMs),
  };
}
