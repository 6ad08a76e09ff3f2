/** The document is at fault, and the message says how, for its sender. */
export class UnreadableError extends Error {}
