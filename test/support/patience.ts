/** What happens in real time may take so long on a busy machine. Only a test that fails waits for the whole of it. */
export const PATIENCE_MS = 50_000;
