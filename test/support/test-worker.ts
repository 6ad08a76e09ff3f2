import { randomUUID } from "node:crypto";
import { vi } from "vitest";
import type { JobRequest } from "../../api/contract/job-request.ts";
import { limits } from "../../api/contract/limits.ts";
import type { ReceivedMessage } from "../../api/state/job-queue.ts";
import type { Plan } from "../../native/index.ts";
import { delay } from "../../worker/delay.ts";
import { engineInfo } from "../../worker/engine-info.ts";
import { createHeartbeat } from "../../worker/lease/heartbeat.ts";
import { createLeases } from "../../worker/lease/lease.ts";
import { createDelivery } from "../../worker/queue/delivery.ts";
import { createIntake } from "../../worker/queue/intake.ts";
import type { Delivery } from "../../worker/queue/job-consumer.ts";
import { eventually } from "./eventually.ts";
import { createFakeEngine, WORD_PROMPTS } from "./fake-engine.ts";
import { jobRequest } from "./job-fixtures.ts";
import { openTempState, type TempState } from "./temp-state.ts";

/** The worker's collaborators on real embedded state and a fake engine, with a quick heartbeat. */
export async function openTestWorker({
  plan = {} as Partial<Plan>,
  maxReceives = limits.maxReceives as number,
  state: given = null as TempState | null,
} = {}) {
  const state = given ?? (await openTempState({ maxReceives }));
  const testLimits = { ...limits, heartbeatMs: 40, progressMs: 5, streamMs: 5 };
  let isDead = false;
  // Wakes early: its clock is moved ahead while it sleeps.
  const beat: typeof delay = async (ms, signal) => {
    await delay(Math.min(ms, testLimits.progressMs), signal);
    if (isDead) await new Promise(() => {});
  };
  const fake = createFakeEngine(plan);
  const log = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
  const onEngineDead = vi.fn();
  const leases = createLeases({ now: state.now });
  const { jobs, queue } = state;
  leases.connect(
    createHeartbeat({ jobs, queue, limits: testLimits, monotonicMs: state.now, delay: beat }, leases.tell),
  );
  const deps = {
    jobs: state.jobs,
    batches: state.batches,
    newId: randomUUID,
    documents: state.documents,
    queue: state.queue,
    engine: fake.engine,
    prompts: WORD_PROMPTS,
    model: "words",
    streams: state.streams,
    limits: testLimits,
    leases,
    now: state.now,
    delay,
    onEngineDead,
    owner: "this worker",
    engineInfo: engineInfo(fake.engine, "the revision"),
    log: { ...log, child: () => log },
  };
  const take = createIntake({ ...deps, deliver: (pointer, message) => createDelivery(pointer, message, deps) });

  return {
    state,
    fake,
    deps,
    log,
    onEngineDead,
    /** No heartbeat of it comes any more: what it holds goes to others when their leases end. */
    die(): void {
      isDead = true;
    },
    /** A job in the queue, as the API puts it there. */
    async submit(questions = ["why"], changes: Partial<JobRequest> = {}) {
      const { id: document_id } = await state.documents.putDocument("default", "the sun is up");
      const request: JobRequest = {
        ...jobRequest,
        model: "words",
        input: { kind: "questions", document_ids: [document_id], questions },
        prompt_tokens: questions.map(() => 5),
        max_tokens: 7,
        seed: 3,
        ...changes,
      };
      return (await state.jobs.submit("default", request)).state.id;
    },
    async receive(): Promise<ReceivedMessage> {
      const messages = await state.queue.receive({ max: 1, waitMs: 0, visibilityMs: limits.visibilityMs });
      if (!messages[0]) throw new Error("the queue shows no message");
      return messages[0];
    },
    take,
    /** From its receipt to its end, its turn being at once. */
    deliver(message: ReceivedMessage): Delivery {
      let delivery: Delivery | undefined;
      return {
        seats: () => delivery?.seats() ?? 1,
        hasBegun: () => delivery?.hasBegun() ?? false,
        giveBack: () => delivery?.giveBack(),
        done: take(message).then(async (job) => {
          delivery = job?.start();
          await delivery?.done;
        }),
      };
    },
    job: async (id: string) => {
      const job = await state.jobs.get("default", id);
      if (!job) throw new Error(`no job ${id}`);
      return job;
    },
    /** Messages that are there now or come back later. */
    async messagesLeft(): Promise<number> {
      state.advance(24 * 3_600_000);
      return (await state.queue.receive({ max: 10, waitMs: 0, visibilityMs: 1 })).length;
    },
    /** The n-th sequence that was given to the engine. */
    sequence: (index: number) =>
      eventually(() => {
        const sequence = fake.sequences[index];
        if (!sequence) throw new Error(`${fake.sequences.length} sequences`);
        return sequence;
      }),
    [Symbol.asyncDispose]: () => state[Symbol.asyncDispose](),
  };
}

export type TestWorker = Awaited<ReturnType<typeof openTestWorker>>;
