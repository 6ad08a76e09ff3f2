import { expect, test } from "vitest";
import { createObjectUrls } from "../../../../api/state/embedded/object-urls.ts";
import { openEmbedded } from "../../../support/embedded-state.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const key = "t/tenant/d/a b+c%2F&?/text";
let nowMs = 1_800_000_000_000;
const urls = createObjectUrls(Buffer.alloc(32, 7), () => nowMs, "http://127.0.0.1:8080");
const signed = (method: "GET" | "PUT" = "GET") => new URL(urls.sign(key, method, 60));

test("a signed URL opens its object, for its method", () => {
  expect(urls.verify("GET", signed("GET"))).toEqual({ key });
  expect(urls.verify("PUT", signed("PUT"))).toEqual({ key });
  expect(urls.verify("PUT", signed("GET"))).toEqual({ refused: "signature" });
  expect(urls.verify("DELETE", signed("PUT"))).toEqual({ refused: "signature" });
});

test("a URL ends with its time", () => {
  const url = signed();
  nowMs += 59_000;
  expect(urls.verify("GET", url)).toEqual({ key });
  nowMs += 1_000;
  expect(urls.verify("GET", url)).toEqual({ refused: "expired" });
});

test.each<[string, (url: URL) => void]>([
  ["another key", (url) => (url.pathname = url.pathname.replace("tenant", "other"))],
  ["a later end", (url) => url.searchParams.set("expires", "9999999999")],
  ["an end that is no number", (url) => url.searchParams.set("expires", "never")],
  ["no end", (url) => url.searchParams.delete("expires")],
  ["no signature", (url) => url.searchParams.delete("signature")],
  [
    "half a signature",
    (url) => url.searchParams.set("signature", (url.searchParams.get("signature") ?? "").slice(0, 20)),
  ],
  ["another path", (url) => (url.pathname = url.pathname.replace("objects", "subjects"))],
  ["a path that does not decode", (url) => (url.pathname = "/v1/objects/%E0%A4%A")],
])("a URL with %s is refused", (_, change) => {
  const url = signed();
  change(url);
  expect(urls.verify("GET", url)).toEqual({ refused: "signature" });
});

test("another secret refuses, the same state directory has the same one", async () => {
  const other = createObjectUrls(Buffer.alloc(32, 8), () => nowMs);
  expect(other.verify("GET", signed())).toEqual({ refused: "signature" });

  await using directory = await temporaryDirectory();
  const first = await openEmbedded(directory.path);
  const second = await openEmbedded(directory.path);
  const url = new URL(await first.objects.presign("a/b", "GET", 60), "http://api");
  expect(second.urls.verify("GET", url)).toEqual({ key: "a/b" });
  await first.close();
  await second.close();
});
