import type { Client, JobQuestion } from "../client.ts";
import { ProblemError } from "../problem-error.ts";
import { accepted } from "../request.ts";

/** No tokenizer makes fewer bytes than this of a token, on average of a long text: for one that is too long to count. */
const BYTES_PER_TOKEN = 3;

/** The exact tokens of a prompt, fitting or not. */
export async function countPromptTokens({ routes }: Pick<Client, "routes">, question: JobQuestion): Promise<number> {
  try {
    const response = await routes.v1.jobs.quote.$post({ json: question });
    return (await accepted("POST /v1/jobs/quote", response)).prompt_tokens;
  } catch (error) {
    const tokens = error instanceof ProblemError ? tooLongBy(error) : null;
    if (tokens === null) throw error;
    return tokens;
  }
}

/** The tokens of a prompt that the service refused as too long; null if that is not what it said. */
export function tooLongBy({ code, problem }: ProblemError): number | null {
  if (code !== "context_overflow") return null;
  if (typeof problem?.prompt_tokens === "number") return problem.prompt_tokens;
  return typeof problem?.text_bytes === "number" ? Math.ceil(problem.text_bytes / BYTES_PER_TOKEN) : null;
}
