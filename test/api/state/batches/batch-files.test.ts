import { describe, expect, it } from "vitest";
import { File as FileResource } from "../../../../api/contract/file.ts";
import { limits } from "../../../../api/contract/limits.ts";
import { chatLine, createBatch, getBatch, openTestService } from "../../../support/batch-fixtures.ts";
import { readJson } from "../../../support/test-app.ts";

const HOUR_S = 3_600;

type Service = Awaited<ReturnType<typeof openTestService>>;

/** A batch of a line that is answered and one that is not, an hour after it was made. */
async function finish(test: Service, asked: object) {
  const { id } = await createBatch(test, [chatLine("good"), chatLine("bad", "x", { n: 2 })], asked);
  test.state.advance(HOUR_S * 1_000);
  await test.work();
  const running = await test.begin();
  (await test.worker.sequence(0)).finish(1);
  await running.done;
  const batch = await getBatch(test, id);
  expect(batch).toMatchObject({ status: "completed", request_counts: { total: 2, completed: 1, failed: 1 } });
  return batch;
}

const filesOf = (test: Service, { output_file_id, error_file_id }: Awaited<ReturnType<typeof finish>>) =>
  Promise.all([output_file_id, error_file_id].map((id) => test.get(`/v1/files/${id}`)));

describe("the output and the error file of a batch", () => {
  it.each([limits.minFileExpirySeconds, 86_400, limits.maxFileExpirySeconds])(
    "expire exactly %i seconds after they were made, where `output_expires_after` says so",
    async (seconds) => {
      await using test = await openTestService();
      const batch = await finish(test, { output_expires_after: { anchor: "created_at", seconds } });
      for (const response of await filesOf(test, batch)) {
        const { purpose, created_at, expires_at } = await readJson(FileResource, response);
        expect(purpose).toBe("batch_output");
        // Their own `created_at` is meant, not that of the batch.
        expect(created_at).toBeGreaterThanOrEqual(batch.created_at + HOUR_S);
        expect(expires_at).toBe(created_at + seconds);
      }
    },
  );

  it("are there until then, and not longer", async () => {
    await using test = await openTestService();
    const batch = await finish(test, { output_expires_after: { anchor: "created_at", seconds: HOUR_S } });
    const statuses = async () => (await filesOf(test, batch)).map(({ status }) => status);
    test.state.advance((HOUR_S - 60) * 1_000);
    expect(await statuses()).toEqual([200, 200]);
    test.state.advance(60_000);
    expect(await statuses()).toEqual([404, 404]);
  });

  it.each([{}, { output_expires_after: null }])("have no time of their own with %j", async (asked) => {
    await using test = await openTestService();
    for (const response of await filesOf(test, await finish(test, asked))) {
      expect(await readJson(FileResource, response)).not.toHaveProperty("expires_at");
    }
  });
});
