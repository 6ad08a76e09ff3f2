import { describe, expect, test } from "vitest";
import { createServiceFetch } from "../../../../api/client/command/service-fetch.ts";
import { runGnomon } from "../../../support/command.ts";

const refused = Object.assign(new TypeError("fetch failed"), { cause: { code: "ECONNREFUSED" } });

/** One outcome for each request. */
function open(outcomes: (Response | Error)[]) {
  const said: string[] = [];
  let requests = 0;
  const fetch = createServiceFetch({
    url: "http://localhost:1",
    say: (line) => void said.push(line),
    now: Date.now,
    againMs: 1,
    fetch: async () => {
      requests += 1;
      const outcome = outcomes.shift();
      if (outcome instanceof Response) return outcome;
      throw outcome ?? new Error("one request too many");
    },
  });
  return { fetch, said, count: () => requests };
}

describe("a service that does not answer", () => {
  test("is one line at once if it never did", async () => {
    const { fetch, count } = open([refused]);
    await expect(fetch("http://localhost:1/v1/jobs")).rejects.toThrow(/^Cannot reach the service .*ECONNREFUSED/);
    expect(count()).toBe(1);
    const fetchNothing = () => Promise.reject(refused);
    const { status, err } = await runGnomon(["status"], { fetch: fetchNothing });
    expect(status).toBe(3);
    expect(err).toBe(
      "gnomon: Cannot reach the service at http://localhost:8080 (ECONNREFUSED). " +
        "Start it with `npm start`, or name another with GNOMON_URL or --url.\n",
    );
  });

  test("is waited for once it has answered, and that is said once", async () => {
    const { fetch, said } = open([new Response("1"), refused, refused, new Response("2")]);
    await fetch("http://localhost:1/a");
    expect(await (await fetch("http://localhost:1/b")).text()).toBe("2");
    expect(said.length).toBe(1);
  });

  test("gets nothing twice that must not be sent twice", async () => {
    const { fetch } = open([new Response("1"), refused]);
    await fetch("http://localhost:1/a");
    await expect(fetch("http://localhost:1/v1/documents", { method: "POST" })).rejects.toThrow(/Cannot reach/);
  });

  test("is asked again when it says so, if that is soon", async () => {
    const busy = (seconds: string) => new Response("", { status: 429, headers: { "Retry-After": seconds } });
    const soon = open([busy("0"), new Response("1")]);
    expect((await soon.fetch("http://localhost:1/a")).status).toBe(200);
    const late = open([busy("3600")]);
    expect((await late.fetch("http://localhost:1/a")).status).toBe(429);
  });
});

test("an address or a key that cannot be one is refused without a request", async () => {
  const fetch = () => Promise.reject(new Error("not to be called"));
  const address = await runGnomon(["status", "--url", "localhost"], { fetch });
  expect(address).toMatchObject({ status: 2, err: expect.stringContaining("is no address of a service") });
  const key = await runGnomon(["status"], { fetch, env: { GNOMON_API_KEY: "sk\nsecret" } });
  expect(key.status).toBe(2);
  expect(key.err).not.toContain("secret");
});
