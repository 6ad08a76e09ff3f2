/** What was typed cannot be done, or a file that it names cannot be read. */
export class UsageError extends Error {}

/** Whoever sits at the keyboard has had enough. */
export class Interrupted extends Error {}
