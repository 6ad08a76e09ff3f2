import { setTimeout as delay } from "node:timers/promises";
import { Document } from "../../api/contract/document.ts";
import { Job } from "../../api/contract/job-resource.ts";
import { JobResult } from "../../api/contract/job-result.ts";

export const DOCUMENTS = [
  "The board met in Oslo. Contract KD-4417 expires on 14 March 2031. The board went home.",
  "Contract AB-1234 expires on 3 May 2030. The harbour was closed for a week. Nobody minded.",
  "The north gate has a new lock. Contract ZX-9002 expires on 9 June 2029, says the clerk.",
];
export const QUESTIONS = [
  "When does contract KD-4417 expire?",
  "When does contract AB-1234 expire?",
  "When does contract ZX-9002 expire?",
];
export const MAX_TOKENS = 12;

/** A job that the API has answered 202 for. */
export type Accepted = { id: string; key: string; body: JobBody; isCancelled: boolean; isDeleted: boolean };
export type JobBody = ReturnType<typeof randomBody>;

export function randomBody(random: () => number, webhook: string | null) {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const questions = QUESTIONS.filter(() => random() < 0.5);
  return {
    document: { text: pick(DOCUMENTS) },
    questions: questions.length > 0 ? questions : [pick(QUESTIONS)],
    max_tokens: MAX_TOKENS,
    priority: pick(["high", "normal", "low"]),
    ...(webhook !== null && { webhook: { url: webhook } }),
  };
}

/** The answer of the API to one request, whatever it takes: it may be down, killed on the way, or unable for a while. */
export async function insist(url: string, init: RequestInit, signal: AbortSignal): Promise<Response> {
  for (;;) {
    signal.throwIfAborted();
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(20_000) }).catch(() => null);
    if (response !== null && (response.status < 500 || response.status === 501)) {
      if (![409, 429].includes(response.status)) return response;
    }
    await response?.body?.cancel();
    await delay(200);
  }
}

export async function submit(api: string, key: string, body: JobBody, signal: AbortSignal): Promise<Accepted> {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  const init = { method: "POST", headers, body: JSON.stringify({ ...body, metadata: { key } }) };
  for (;;) {
    const response = await insist(`${api}/v1/jobs`, init, signal);
    // An answer that is cut off by a kill is no answer.
    const text = await response.text().catch(() => null);
    if (text === null) continue;
    if (!response.ok) throw new Error(`submit was refused with ${response.status}: ${text}`);
    return { id: Job.parse(JSON.parse(text)).id, key, body, isCancelled: false, isDeleted: false };
  }
}

export async function cancel(api: string, id: string, signal: AbortSignal): Promise<void> {
  await insist(`${api}/v1/jobs/${id}/cancel`, { method: "POST" }, signal);
}

/** Removes the job if it is over; whether it did. */
export async function remove(api: string, id: string, signal: AbortSignal): Promise<boolean> {
  for (;;) {
    signal.throwIfAborted();
    const init = { method: "DELETE", signal: AbortSignal.timeout(20_000) };
    const response = await fetch(`${api}/v1/jobs/${id}`, init).catch(() => null);
    await response?.body?.cancel();
    // 404: gone by a request whose answer did not come.
    if (response?.status === 204 || response?.status === 404) return true;
    if (response?.status === 409) return false;
    await delay(200);
  }
}

/** A document that was accepted: its text is to be read again, whole. */
export type Stored = { id: string; text: string };

/** Large enough for a body file of its own in the embedded store. */
export async function storeDocument(api: string, random: () => number, signal: AbortSignal): Promise<Stored> {
  const text = `${random()} `.repeat(Math.floor((70_000 + random() * 60_000) / 20));
  const init = { method: "POST", headers: { "Content-Type": "text/plain" }, body: text };
  for (;;) {
    const response = await insist(`${api}/v1/documents`, init, signal);
    const answer = await response.text().catch(() => null);
    if (answer === null) continue;
    if (!response.ok) throw new Error(`a document was refused with ${response.status}: ${answer}`);
    return { id: Document.parse(JSON.parse(answer)).id, text };
  }
}

/** What each document answers to each question, by a service that nothing disturbs. */
export async function calmAnswers(api: string, signal: AbortSignal): Promise<Map<string, string>> {
  const answers = new Map<string, string>();
  for (const [index, text] of DOCUMENTS.entries()) {
    const body = { document: { text }, questions: QUESTIONS, max_tokens: MAX_TOKENS, priority: "normal" as const };
    const { id } = await submit(api, `calm-${index}`, body as JobBody, signal);
    for (;;) {
      const response = await insist(`${api}/v1/jobs/${id}/result`, {}, signal);
      if (response.ok) {
        const result = JobResult.parse(await response.json());
        for (const answer of result.answers) answers.set(`${text}\n${answer.question}`, comparable(answer));
        break;
      }
      await delay(100);
    }
  }
  return answers;
}

/** All of an answer that must not depend on when, where and how often it was tried. */
export const comparable = ({ answer, finish_reason, usage }: JobResult["answers"][number]): string =>
  JSON.stringify({ answer, finish_reason, usage });
