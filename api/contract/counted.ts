/** "1 line", "2,000 lines". */
export const counted = (value: number, one: string, many = `${one}s`): string =>
  `${value.toLocaleString("en-US")} ${value === 1 ? one : many}`;

/** "a", "a or b", "a, b or c". */
export const anyOf = (names: readonly string[]): string =>
  new Intl.ListFormat("en-GB", { type: "disjunction" }).format(names);
