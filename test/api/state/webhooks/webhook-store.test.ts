import { describe, expect, it } from "vitest";
import { createJobStore } from "../../../../api/state/jobs/job-store.ts";
import { createWebhookStore } from "../../../../api/state/webhooks/webhook-store.ts";
import { breakingState } from "../../../support/breaking-state.ts";
import { jobRequest } from "../../../support/job-fixtures.ts";
import { openTempState } from "../../../support/temp-state.ts";

const webhook = { url: "https://example.com/hook", events: ["job.cancelled" as const] };

describe("the end of a job whose process dies", () => {
  // Wherever it dies, before or after a call took effect; the last round breaks nothing.
  const points = [1, 2, 3, 4, 5, 6, 7, 8].flatMap((call) =>
    (["none", "done"] as const).map((effect) => ({ call, effect })),
  );

  it.each(points)("is told all the same: call $call, effect $effect", async (at) => {
    await using state = await openTempState();
    const { state: job } = await state.jobs.submit("default", { ...jobRequest, webhook });

    const broken = breakingState(state.objects, state.webhookQueue, at);
    const webhooks = createWebhookStore({ objects: broken.objects, webhookQueue: broken.queue, now: state.now });
    const jobs = createJobStore({
      objects: broken.objects,
      queue: state.queue,
      now: state.now,
      newId: () => "x",
      leaseMs: 1_000,
      onTerminal: webhooks.emit,
    });
    await jobs.cancel("default", job.id).catch(() => undefined);

    // Whoever comes later: the client repeats what failed, or the sweeper finds what was left.
    await state.jobs.cancel("default", job.id);
    state.advance(3_600_000);
    await state.jobs.sweep();
    const messages = await state.webhookQueue.receive({ max: 10, waitMs: 0, visibilityMs: 1_000 });
    expect(messages.length).toBeGreaterThanOrEqual(1);
    expect(await state.webhooks.list("default", job.id)).toHaveLength(1);
    expect((await state.jobs.index.listActive("active/", { limit: 10 })).entries).toEqual([]);
  });
});

describe("an event", () => {
  it("goes with its job", async () => {
    await using state = await openTempState();
    const { state: job } = await state.jobs.submit("default", { ...jobRequest, webhook });
    await state.jobs.cancel("default", job.id);
    expect(await state.webhooks.list("default", job.id)).toHaveLength(1);
    await state.jobs.delete("default", job.id);
    expect(await state.objects.list(`t/default/j/${job.id}/`)).toEqual([]);
  });

  it("does not come back when a job is told of that was deleted meanwhile", async () => {
    await using state = await openTempState();
    const { state: job } = await state.jobs.submit("default", { ...jobRequest, webhook });
    const ended = await state.jobs.cancel("default", job.id);
    if (ended === null) throw new Error("the job is gone");
    await state.jobs.delete("default", job.id);
    await state.webhooks.emit(ended);
    expect(await state.objects.list(`t/default/j/${job.id}/`)).toEqual([]);
  });

  it("goes with its job even if it is told of again while that is deleted", async () => {
    await using state = await openTempState();
    const { state: job } = await state.jobs.submit("default", { ...jobRequest, webhook });
    const ended = await state.jobs.cancel("default", job.id);
    if (ended === null) throw new Error("the job is gone");
    // Told of just before the state goes: after all that was there before has been removed.
    const objects: typeof state.objects = {
      ...state.objects,
      async delete(key) {
        if (key.endsWith("/state.json")) await state.webhooks.emit(ended);
        await state.objects.delete(key);
      },
    };
    const { queue, now } = state;
    const deleting = createJobStore({ objects, queue, now, newId: () => "x", leaseMs: 1_000 });
    await deleting.delete("default", job.id);
    expect(await state.objects.list(`t/default/j/${job.id}/`)).toEqual([]);
  });
});
