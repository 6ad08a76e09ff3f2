/**
 * Where a text ends that must hold none of `stop`; -1 if it holds none. Of several the one that is complete first counts,
 * and of those the longest: so it does not matter how much more text there is, and streams agree with results.
 */
export function stopIndex(text: string, stop: readonly string[]): number {
  let index = -1;
  let end = Number.POSITIVE_INFINITY;
  for (const string of stop) {
    const start = text.indexOf(string);
    if (start < 0 || start + string.length > end || (start + string.length === end && start > index)) continue;
    index = start;
    end = start + string.length;
  }
  return index;
}

/** As much of an unfinished text as stays, whatever comes: its end may be the beginning of a stop string. */
export function settledLength(text: string, stop: readonly string[]): number {
  const index = stopIndex(text, stop);
  return index >= 0 ? index : text.length - Math.max(0, ...stop.map((string) => overlap(text, string)));
}

/** The longest beginning of `string` that `text` ends with. */
function overlap(text: string, string: string): number {
  let length = Math.min(text.length, string.length - 1);
  while (length > 0 && !text.endsWith(string.slice(0, length))) length -= 1;
  return length;
}
