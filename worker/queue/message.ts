import { JobMessage } from "../../api/contract/job.ts";

/** The pointer in a queue message; null if it is none. */
export function parseMessage(body: string): JobMessage | null {
  try {
    return JobMessage.parse(JSON.parse(body));
  } catch {
    return null;
  }
}
