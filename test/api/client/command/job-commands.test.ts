import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fetchOf, runGnomon } from "../../../support/command.ts";
import { jobResult } from "../../../support/job-fixtures.ts";
import { openTestApp, type TestApp } from "../../../support/test-app.ts";

let app: TestApp;
beforeEach(async () => {
  app = await openTestApp();
});
afterEach(() => app[Symbol.asyncDispose]());

const run = (...args: string[]) => runGnomon(args, { fetch: fetchOf(app) });

describe("a job that somebody submitted", () => {
  test("status shows it, alone and in the list", async () => {
    const { id } = await app.submit();
    expect((await run("status", id)).out).toMatch(/^job +job_\S+\nstatus +queued\n/);
    expect((await run("status")).out).toMatch(new RegExp(`^JOB .*\\n${id} +queued +0 % +0/1`));
    expect(JSON.parse((await run("status", "--json")).out)).toMatchObject({ data: [{ id }] });
  });

  test("result says with its exit status that it is not over, and gives the answers once it is", async () => {
    const { id } = await app.submit();
    const early = await run("result", id);
    expect(early).toMatchObject({ status: 6, out: "" });
    await app.state.jobs.settleSucceeded(await app.claim(id), jobResult(id, 1, "in the sky"));
    expect(await run("result", id, "--wait")).toMatchObject({ status: 0, out: "in the sky\n" });
  });

  test("one that failed is exit status 1 for whoever waits for it", async () => {
    const { id } = await app.submit();
    await app.state.jobs.settleFailed(await app.claim(id), { code: "engine_failed", message: "The engine failed." });
    const waited = await run("result", id, "--wait", "--json");
    expect(waited.status).toBe(1);
    expect(JSON.parse(waited.err)).toMatchObject({ error: { code: "engine_failed" } });
    expect(await run("status", id)).toMatchObject({ status: 0 });
  });

  test("cancel ends it", async () => {
    const { id } = await app.submit();
    expect(await run("cancel", id)).toMatchObject({ status: 0, out: `Job ${id} is cancelled.\n` });
    expect((await run("logs", id)).out).toMatch(/^\d\d:\d\d:\d\d queued\n\d\d:\d\d:\d\d cancelled\n$/);
  });

  test("cancel goes on past one that is not there, and says of one that is over that nothing was to be done", async () => {
    const over = await app.submit();
    await app.state.jobs.settleSucceeded(await app.claim(over.id), jobResult(over.id, 1));
    const { id } = await app.submit();
    const { status, out, err } = await run("cancel", "job_none", over.id, id);
    expect({ status, out }).toEqual({
      status: 5,
      out: `Job ${over.id} had succeeded already.\nJob ${id} is cancelled.\n`,
    });
    expect(err).toMatch(/^gnomon: No such job\. There is no job `job_none`.*\n$/);
  });

  test("logs gives the times at which things happened, followed or not", async () => {
    const { id } = await app.submit();
    await app.state.jobs.settleSucceeded(await app.claim(id), jobResult(id, 1, "in the sky"));
    const times = (out: string) => out.split("\n").filter((line) => /^\d\d:/.test(line));
    const told = times((await run("logs", id)).out);
    expect(told.map((line) => line.slice(9))).toEqual(["queued", expect.stringMatching(/^running/), "succeeded"]);
    expect(times((await run("logs", "-f", id)).out)).toEqual(told);
  });

  test("a batch, or what can be no id, is refused with what to do instead", async () => {
    const fetch = () => Promise.reject(new Error("not to be called"));
    const of = (...args: string[]) => runGnomon(args, { fetch });
    expect((await of("logs", "batch_1")).err).toContain("`gnomon result batch_1` prints its results");
    expect(await of("status", "../models")).toMatchObject({
      status: 2,
      err: expect.stringContaining("An id has letters, digits, _ and - only."),
    });
  });

  test("logs -f writes its text, and ends with it", async () => {
    const { id } = await app.submit();
    await app.state.jobs.settleSucceeded(await app.claim(id), jobResult(id, 1, "in\nthe sky"));
    const { out, status } = await run("logs", "-f", id);
    expect(status).toBe(0);
    expect(out).toMatch(/ {2}\[1\] in\n {2}\[1\] the sky\n\d\d:\d\d:\d\d succeeded\n$/);
  });

  test("one that does not exist is refused", async () => {
    const { status, err } = await run("status", "job_none");
    expect(status).toBe(5);
    expect(err).toMatch(/^gnomon: No such job\. .*\n$/);
  });
});

describe("keys", () => {
  test("are made, listed and revoked with a key that may", async () => {
    const { key } = await app.makeKey("acme", ["admin"]);
    const env = { GNOMON_API_KEY: key };
    const keys = (...args: string[]) => runGnomon(["keys", ...args], { fetch: fetchOf(app), env });
    const made = await keys("create", "--name", "robot", "--scopes", "read", "--json");
    const { id, key: secret } = JSON.parse(made.out) as { id: string; key: string };
    expect((await keys("list")).out).toMatch(new RegExp(`${id} +read .* robot\\n`));
    expect((await keys("revoke", id)).out).toBe(`Key ${id} is revoked.\n`);

    const denied = await runGnomon(["status"], { fetch: fetchOf(app), env: { GNOMON_API_KEY: secret } });
    expect(denied.status).toBe(4);
    expect(denied.err).toMatch(/^gnomon: The API key is not valid\. .*GNOMON_API_KEY\.\n$/);
  });

  test("have their scopes with commas or one by one, and end after a time that is one", async () => {
    const { key } = await app.makeKey("acme", ["admin"]);
    const create = (...args: string[]) =>
      runGnomon(["keys", "create", ...args], { fetch: fetchOf(app), env: { GNOMON_API_KEY: key } });
    expect((await create("--scopes", "submit,read")).err).toContain("scopes submit, read.");
    expect((await create("--scopes", "read", "--scopes", "admin")).err).toContain("scopes read, admin.");
    expect((await create("--scopes", "write")).err).toContain("`write` is none of submit, read, admin.");
    expect((await create("--expires-days", "-1")).err).toContain("It must be above 0.");
  });

  test("without one, say how the first is made", async () => {
    const { status, err } = await run("keys", "list");
    expect({ status, err }).toEqual({
      status: 4,
      err: expect.stringContaining("`npm run keys -- create --scopes admin`"),
    });
  });

  test("a service that asks for a key says where the command takes it from", async () => {
    await app.makeKey("acme", ["submit"]);
    const { status, err } = await run("status");
    expect({ status, err }).toEqual({ status: 4, err: expect.stringMatching(/^gnomon: An API key is needed\..*\n$/) });
  });
});
