type Shape = {
  /** Arrays and objects within each other. */
  depth: number;
  /** Members of objects and items of arrays, all together. */
  values: number;
};

/**
 * What makes JSON costly beyond its bytes, so that it is refused before anything parses it: walking through a deep one can
 * exhaust the stack, and millions of tiny values take a thousand times their bytes to be found invalid. Null if nothing.
 * A plain loop: on a body of megabytes a regular expression would hold up every other request for seconds.
 */
export function jsonFault(json: string, limit: Shape): keyof Shape | null {
  let depth = 0;
  let values = 1;
  let inString = false;
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (inString) {
      if (code === BACKSLASH) at += 1;
      else if (code === QUOTE) inString = false;
    } else if (code === QUOTE) {
      inString = true;
    } else if (code === COMMA) {
      values += 1;
      if (values > limit.values) return "values";
    } else if (code === OPEN_BRACKET || code === OPEN_BRACE) {
      depth += 1;
      if (depth > limit.depth) return "depth";
    } else if (code === CLOSE_BRACKET || code === CLOSE_BRACE) {
      depth -= 1;
    }
  }
  return null;
}

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x5b, 0x5d, 0x7b, 0x7d];
