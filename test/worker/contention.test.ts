import { expect, it, vi } from "vitest";
import { JobMessage } from "../../api/contract/job.ts";
import { limits } from "../../api/contract/limits.ts";
import { createDelivery } from "../../worker/queue/delivery.ts";
import { openTestWorker } from "../support/test-worker.ts";

it("of two workers that have a message of one job each, one runs it, and the other gives way until it is over", async () => {
  await using worker = await openTestWorker();
  const id = await worker.submit();
  const first = await worker.receive();
  // As of a queue that delivers twice.
  await worker.state.queue.send({ body: first.body });
  const second = await worker.receive();
  const pointer = JobMessage.parse(JSON.parse(first.body));
  const deliveries = [
    createDelivery(pointer, first, { ...worker.deps, owner: "one" }),
    createDelivery(pointer, second, { ...worker.deps, owner: "other" }),
  ];
  const sequence = await worker.sequence(0);
  await Promise.race(deliveries.map(({ done }) => done));
  expect(worker.fake.sequences).toHaveLength(1);
  expect(await worker.job(id)).toMatchObject({ status: "running", attempt: 1 });

  sequence.finish(1, 2);
  await Promise.all(deliveries.map(({ done }) => done));
  expect(await worker.job(id)).toMatchObject({ status: "succeeded", attempt: 1, lease: null });
  // The loser's message comes back once the lease would have ended, and goes then.
  worker.state.advance(limits.leaseMs + 1_000);
  await worker.deliver(await worker.receive()).done;
  expect(await worker.messagesLeft()).toBe(0);
  expect(worker.fake.sequences).toHaveLength(1);
});

it("many workers that claim many jobs at once run each of them once", async () => {
  await using worker = await openTestWorker();
  const ids = await Promise.all(Array.from({ length: 10 }, () => worker.submit()));
  const claims = await Promise.all(
    ids.flatMap((id) => ["a", "b", "c", "d"].map((owner) => worker.state.jobs.claim("default", id, owner))),
  );
  const claimed = claims.filter(({ kind }) => kind === "claimed");
  expect(claimed).toHaveLength(ids.length);
  expect(new Set(claimed.map((claim) => "claim" in claim && claim.claim.state.id))).toEqual(new Set(ids));
  expect(claims.filter(({ kind }) => kind === "leased")).toHaveLength(30);
});

it("the failure of all heartbeats aborts every run at once, and leaves the jobs to others", async () => {
  await using worker = await openTestWorker();
  const ids = [await worker.submit(), await worker.submit()];
  const deliveries = [worker.deliver(await worker.receive()), worker.deliver(await worker.receive())];
  const sequences = [await worker.sequence(0), await worker.sequence(1)];
  worker.deps.leases.loseAll("no heartbeats any more");
  // Within the call: the engine looks at the signal at each of its steps.
  expect(sequences.map(({ ended }) => ended)).toEqual([true, true]);
  await Promise.all(deliveries.map(({ done }) => done));
  for (const id of ids) expect((await worker.job(id)).status).toBe("running");
  worker.state.advance(limits.leaseMs + 1);
  const taken = await Promise.all(ids.map((id) => worker.state.jobs.claim("default", id, "another")));
  expect(taken.map(({ kind }) => kind)).toEqual(["claimed", "claimed"]);
  expect(vi.mocked(worker.log.warn).mock.calls.map(([, message]) => message)).toContain("lease lost, run stopped");
});
