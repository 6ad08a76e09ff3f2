import { createHash } from "node:crypto";
import type { LimitFunction } from "p-limit";
import { isTerminal } from "../../contract/job.ts";
import type { Job } from "../../contract/job-resource.ts";
import type { Client, JobQuestion } from "../client.ts";
import { JobEnded } from "../errors.ts";
import type { Answer, Journal } from "./journal.ts";

/** One prompt: texts that the service has already, and what is asked of them. */
export type Prompt = { documents: readonly string[]; question: string };

/** Asks each prompt once, however often it comes and however often the run is started again. */
export type Step = (prompt: Prompt) => Promise<Answer>;

type Options = {
  client: Pick<Client, "submit" | "wait" | "result">;
  journal: Journal;
  model: string;
  maxTokens: number;
  priority: JobQuestion["priority"];
  /** Jobs at once. */
  limit: LimitFunction;
  signal: AbortSignal;
  onProgress: (job: Job) => void;
};

const POLL_MS = 1_000;

export function createStep({ client, journal, model, maxTokens, priority, limit, signal, onProgress }: Options): Step {
  const asked = new Map<string, Promise<Answer>>();

  /** A key of this journal: should we be killed here, the next run gets the same job from the service. */
  const submit = ({ documents, question }: Prompt, key: string): Promise<Job> =>
    client.submit(
      {
        documents: documents.map((id) => ({ id })),
        question,
        model,
        max_tokens: maxTokens,
        ...(priority === undefined ? {} : { priority }),
      },
      { signal, idempotencyKey: `${journal.id}-${key}-${journal.failures(key)}` },
    );

  async function ask(prompt: Prompt, key: string): Promise<Answer> {
    const follow = (job: Job) => client.wait(job, { signal, onProgress, pollMs: POLL_MS });
    const job = await submit(prompt, key);
    let ended = await follow(job);
    // An earlier run cancelled it, or could not write its end down any more.
    if (ended.status !== "succeeded" && (isTerminal(job.status) || job.cancel_requested)) {
      await journal.failed(key);
      ended = await follow(await submit(prompt, key));
    }
    if (ended.status !== "succeeded") {
      await journal.failed(key);
      throw new JobEnded(ended);
    }
    const { answers } = await client.result({ id: ended.id });
    const [first] = answers;
    if (first === undefined) throw new Error(`job ${ended.id} has no answer`);
    const { usage } = first;
    const answer: Answer = {
      job: ended.id,
      answer: first.answer,
      finish_reason: first.finish_reason,
      prompt_tokens: usage.prompt_tokens,
      cached_tokens: usage.prompt_tokens_details.cached_tokens,
      completion_tokens: usage.completion_tokens,
    };
    await journal.answered(key, answer);
    return answer;
  }

  return (prompt) => {
    const key = keyOf(prompt, model, maxTokens);
    const known = journal.answer(key);
    if (known !== undefined) return Promise.resolve(known);
    const asking = asked.get(key) ?? limit(() => ask(prompt, key));
    asked.set(key, asking);
    return asking;
  };
}

/** The ids of documents stand for their content. */
const keyOf = ({ documents, question }: Prompt, model: string, maxTokens: number): string =>
  createHash("sha256")
    .update(JSON.stringify([model, maxTokens, question, documents]))
    .digest("hex");
