import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { JobList } from "../../../../api/contract/job-resource.ts";
import { openTestApp, readJson, readProblem, type TestApp } from "../../../support/test-app.ts";

let app: TestApp;
const ids: string[] = [];
beforeAll(async () => {
  app = await openTestApp();
  for (let i = 0; i < 7; i++) {
    ids.unshift((await app.submit({ metadata: { team: i % 2 ? "odd" : "even", index: String(i) } })).id);
    app.state.advance(10);
  }
});
afterAll(() => app[Symbol.asyncDispose]());

const list = async (query = "") => readJson(JobList, await app.get(`/v1/jobs?${query}`));
const idsOf = ({ data }: JobList) => data.map(({ id }) => id);

describe("GET /v1/jobs: 200", () => {
  it("is newest first", async () => {
    const page = await list();
    expect(idsOf(page)).toEqual(ids);
    expect(page).toMatchObject({ object: "list", has_more: false, next_cursor: null });
  });

  it("is complete page by page, while jobs come and go", async () => {
    await using own = await openTestApp();
    const made: string[] = [];
    for (let i = 0; i < 5; i++) {
      made.unshift((await own.submit()).id);
      own.state.advance(1);
    }
    const page = async (query: string) => readJson(JobList, await own.get(`/v1/jobs?limit=2${query}`));
    const first = await page("");
    await own.submit();
    await own.state.jobs.cancel("default", made[1] ?? "");
    await own.state.jobs.delete("default", made[1] ?? "");
    const second = await page(`&after=${first.next_cursor}`);
    const third = await page(`&after=${second.next_cursor}`);
    expect([...idsOf(first), ...idsOf(second), ...idsOf(third)]).toEqual(made);
    expect(third.has_more).toBe(false);
  });

  it("filters by state", async () => {
    await app.state.jobs.cancel("default", ids[2] ?? "");
    await app.claim(ids[4] ?? "");
    expect(idsOf(await list("status=cancelled"))).toEqual([ids[2]]);
    expect(idsOf(await list("status=cancelled,running"))).toEqual([ids[2], ids[4]]);
    expect(idsOf(await list("status=running&status=cancelled"))).toEqual([ids[2], ids[4]]);
    expect(idsOf(await list("status=failed"))).toEqual([]);
  });

  it("filters by metadata, all pairs at once", async () => {
    expect(idsOf(await list("metadata[team]=odd"))).toEqual(ids.filter((_, i) => i % 2));
    expect(idsOf(await list("metadata%5Bteam%5D=odd&metadata[index]=1"))).toEqual([ids[5]]);
    expect(idsOf(await list("metadata[team]=odd&metadata[index]=2"))).toEqual([]);
  });

  it("shows no tenant the jobs of another", async () => {
    await using own = await openTestApp({ loopback: false });
    const [acme, acm] = [await own.makeKey("acme", ["read", "submit"]), await own.makeKey("acm", ["admin"])];
    const job = { document: { text: "the sun" }, question: "where", max_tokens: 5 };
    expect((await own.post("/v1/jobs", job, "application/json", acme.headers)).status).toBe(202);
    const listed = async (headers: Record<string, string>) =>
      (await readJson(JobList, await own.get("/v1/jobs", headers))).data.length;
    expect(await listed(acme.headers)).toBe(1);
    expect(await listed(acm.headers)).toBe(0);
  });
});

describe("GET /v1/jobs: 400", () => {
  it.each([
    ["limit=0", "limit"],
    ["metadata[team][lead]=a", "metadata"],
    ["metadata[]=a", "metadata"],
    ["metadata[team]=a&metadata[team]=b", "metadata"],
    ["limit=101", "limit"],
    ["limit=x", "limit"],
    ["status=gone", "status[0]"],
    ["after=../../etc", "after"],
    ["after=", "after"],
  ])("refuses %s", async (query, field) => {
    expect(await readProblem(await app.get(`/v1/jobs?${query}`))).toMatchObject({ code: "invalid_request", field });
  });
});
