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
    firstWaitMs: 1,
    maxRetries: 3,
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

  test("is waited for once it has answered, and that is said", async () => {
    const { fetch, said } = open([new Response("1"), refused, refused, new Response("2")]);
    await fetch("http://localhost:1/a");
    expect(await (await fetch("http://localhost:1/b")).text()).toBe("2");
    expect(said[0]).toBe("The service does not answer, next try in 1 s.");
  });

  test("gets nothing twice that must not be sent twice", async () => {
    const { fetch } = open([new Response("1"), refused]);
    await fetch("http://localhost:1/a");
    await expect(fetch("http://localhost:1/v1/keys", { method: "POST" })).rejects.toThrow(/Cannot reach/);
  });

  test("is asked again when it says so, if that is soon, and each wait is told of", async () => {
    const busy = (seconds: string) => new Response("", { status: 429, headers: { "Retry-After": seconds } });
    const soon = open([busy("0"), new Response("1")]);
    expect((await soon.fetch("http://localhost:1/a")).status).toBe(200);
    expect(soon.said).toEqual(["Rate limited (429), next try in 1 s."]);
    const late = open([busy("3600")]);
    expect((await late.fetch("http://localhost:1/a")).status).toBe(429);
    expect(late.said).toEqual(["Not waited for: rate limited (429). It asks to come back in 3600 s."]);
  });

  test("is given up after so many tries, which is said", async () => {
    const { fetch, said, count } = open([0, 0, 0, 0].map(() => new Response("", { status: 502 })));
    expect((await fetch("http://localhost:1/a")).status).toBe(502);
    expect(count()).toBe(4);
    expect(said.at(-1)).toBe("Given up after 4 tries: the service is not available (502).");
  });
});

test.each([
  ["a page", new Response("<html>", { headers: { "Content-Type": "text/html" } }), 3],
  ["a refusal of its own", new Response("<html>", { status: 404 }), 5],
])("something else that listens there and answers with %s is told from the service", async (_, response, status) => {
  const other = await runGnomon(["status"], { fetch: async () => response });
  expect(other.status).toBe(status);
  expect(other.err).toMatch(
    /^gnomon: GET \/v1\/jobs was answered with status \d+ and not as a Gnomon service does: .*\n$/,
  );
});

test("the version is that of the package", async () => {
  const fetch = () => Promise.reject(new Error("not to be called"));
  expect(await runGnomon(["--version"], { fetch })).toMatchObject({ status: 0, out: "1.2.3\n" });
});

test("an address or a key that cannot be one is refused without a request", async () => {
  const fetch = () => Promise.reject(new Error("not to be called"));
  const address = await runGnomon(["status", "--url", "localhost"], { fetch });
  expect(address).toMatchObject({ status: 2, err: expect.stringContaining("is no address of a service") });
  const key = await runGnomon(["status"], { fetch, env: { GNOMON_API_KEY: "sk\nsecret" } });
  expect(key.status).toBe(2);
  expect(key.err).not.toContain("secret");
});
