import { SingleBar } from "cli-progress";

/** Progress on stderr, in prompt tokens: they are nearly all of the work. */
export type Bar = { addTokens(count: number): void; addAnswer(): void; stop(): void };

/** For `times` runs over these prompts. */
export function startBar(prompts: readonly { tokens: Uint32Array }[], times: number): Bar {
  const totalTokens = times * prompts.reduce((sum, { tokens }) => sum + tokens.length, 0);
  let answered = 0;
  const bar = new SingleBar({
    format: `[{bar}] {value}/{total} tokens read, {answered}/${times * prompts.length} questions answered, {eta_formatted} left`,
    stream: process.stderr,
    noTTYOutput: true,
    notTTYSchedule: 10_000,
  });
  bar.start(totalTokens, 0, { answered });
  return {
    addTokens: (count) => bar.increment(count),
    addAnswer() {
      answered += 1;
      bar.increment(0, { answered });
    },
    stop: () => bar.stop(),
  };
}
