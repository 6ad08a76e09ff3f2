import { expect, test } from "vitest";
import { limits } from "../../../api/contract/limits.ts";
import { openTestApp, readProblem } from "../../support/test-app.ts";

test("400: JSON that is nested too deeply is refused before it is parsed", async () => {
  await using app = await openTestApp();
  const bomb = `{"metadata":${"[".repeat(1_000_000)}`;
  const problem = await readProblem(await app.post("/v1/jobs", bomb));
  expect(problem).toMatchObject({ status: 400, code: "json_too_deep", limit_depth: limits.json.depth });
});

test("400: so is JSON of so many values that to find them invalid would take all memory", async () => {
  await using app = await openTestApp();
  const parts = `{"model":"words","messages":[{"role":"user","content":[${"{},".repeat(limits.json.values)}{}]}]}`;
  const problem = await readProblem(await app.post("/v1/chat/completions", parts));
  expect(problem).toMatchObject({ status: 400, code: "json_too_many_values", limit_values: limits.json.values });
});

test("text may hold as many brackets as it likes", async () => {
  await using app = await openTestApp();
  const text = "[".repeat(1_000);
  expect((await app.post("/v1/documents", { text })).status).toBe(201);
  expect((await app.post("/v1/documents", `${text} `, "text/plain")).status).toBe(201);
});
