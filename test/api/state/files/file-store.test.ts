import { expect, it } from "vitest";
import { createFileStore } from "../../../../api/state/files/file-store.ts";
import { openTempState } from "../../../support/temp-state.ts";

it("keeps a file for exactly as long as is asked, from when it was made", async () => {
  await using state = await openTempState();
  let seconds = 0;
  // Each look at it is in another second than the one before.
  const now = () => ++seconds * 1_000;
  const files = createFileStore({ objects: state.objects, now, newId: () => "1" });
  const file = { id: "file-1", filename: "a", purpose: "batch" as const, bytes: 1, expirySeconds: 3_600 };
  const { created_ms, expires_ms } = await files.publish("t", file);
  expect((expires_ms ?? 0) - created_ms).toBe(3_600_000);
});
