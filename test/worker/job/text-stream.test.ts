import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { keys } from "../../../api/contract/keys.ts";
import { eventually } from "../../support/eventually.ts";
import { openTestWorker, type TestWorker } from "../../support/test-worker.ts";

let worker: TestWorker;
beforeEach(async () => {
  worker = await openTestWorker();
});
afterEach(() => worker[Symbol.asyncDispose]());

const streamOf = (id: string) => worker.state.streams.read("default", id);
const watch = (id: string, ms = 60_000) => worker.state.jobs.watch("default", id, worker.state.now() + ms);

describe("the text of a running job", () => {
  it("is written as it is generated while somebody watches, with the exact progress", async () => {
    const id = await worker.submit(["why", "where"]);
    await watch(id);
    const delivery = worker.deliver(await worker.receive());
    const [first, second] = [await worker.sequence(0), await worker.sequence(1)];
    first.progress(5, 0);
    await eventually(async () => expect((await streamOf(id))?.progress.prefill_tokens).toBe(5));
    first.tokens(4, 5);
    first.progress(5, 2);
    await eventually(async () =>
      expect(await streamOf(id)).toMatchObject({
        attempt: 1,
        texts: ["tokens 4 5", "tokens "],
        progress: { prefill_tokens: 5, generated_tokens: 2 },
      }),
    );
    first.finish(4, 5);
    second.finish(6);
    await delivery.done;
    expect(await streamOf(id)).toBeNull();
  });

  it("is heard of in the middle of the run", async () => {
    const id = await worker.submit();
    const delivery = worker.deliver(await worker.receive());
    const sequence = await worker.sequence(0);
    sequence.tokens(7);
    sequence.progress(5, 1);
    await watch(id);
    let generated = 1;
    await eventually(async () => {
      sequence.tokens(7);
      sequence.progress(5, ++generated);
      expect((await streamOf(id))?.texts[0]).toMatch(/^tokens 7 7/);
    });
    sequence.finish(7);
    await delivery.done;
  });

  it("costs nothing while nobody watches", async () => {
    const id = await worker.submit();
    const put = vi.spyOn(worker.state.objects, "put");
    const delivery = worker.deliver(await worker.receive());
    const sequence = await worker.sequence(0);
    sequence.tokens(7);
    sequence.progress(5, 1);
    await eventually(async () => expect((await worker.job(id)).progress.generated_tokens).toBe(1));
    sequence.finish(7);
    await delivery.done;
    expect(put.mock.calls.filter(([key]) => key === keys.jobStream("default", id))).toEqual([]);
  });

  it("does not stop the job when it cannot be written", async () => {
    const id = await worker.submit();
    await watch(id);
    vi.spyOn(worker.deps.streams, "write").mockRejectedValue(new Error("disk full"));
    const delivery = worker.deliver(await worker.receive());
    const sequence = await worker.sequence(0);
    sequence.progress(5, 1);
    await eventually(() =>
      expect(worker.log.warn).toHaveBeenCalledWith(expect.anything(), "text of a running job not written"),
    );
    sequence.finish(7);
    await delivery.done;
    expect((await worker.job(id)).status).toBe("succeeded");
  });

  it("holds back what may be the beginning of a stop string, and never shows one", async () => {
    const id = await worker.submit(["why"], { stop: ["8 9"] });
    await watch(id);
    const written = vi.spyOn(worker.deps.streams, "write");
    const shown = () => written.mock.calls.map(([, , { texts }]) => texts[0]);
    const delivery = worker.deliver(await worker.receive());
    const sequence = await worker.sequence(0);
    sequence.tokens(7, 8);
    sequence.progress(5, 2);
    await eventually(() => expect(shown()).toContain("tokens 7 "));
    sequence.tokens(8);
    sequence.progress(5, 3);
    await eventually(() => expect(shown()).toContain("tokens 7 8 "));
    sequence.tokens(9);
    sequence.progress(5, 4);
    await delivery.done;
    expect((await worker.state.jobs.getResult("default", id))?.answers[0]?.answer).toBe("tokens 7 8 ");
    for (const text of shown()) expect("tokens 7 8 ".startsWith(text ?? "")).toBe(true);
  });

  it("never ends within a character", async () => {
    worker.deps.prompts = { ...worker.deps.prompts, decode: async () => "caf�" };
    const id = await worker.submit();
    await watch(id);
    const delivery = worker.deliver(await worker.receive());
    const sequence = await worker.sequence(0);
    sequence.tokens(7);
    sequence.progress(5, 1);
    await eventually(async () => expect((await streamOf(id))?.texts).toEqual(["caf"]));
    sequence.finish(7);
    await delivery.done;
  });
});
