import { describe, expect, it } from "vitest";
import { BATCH_TRANSITIONS, BatchStatus, isBatchOver } from "../../../api/contract/batch.ts";
import { BatchInputLine } from "../../../api/contract/batch-line.ts";
import { CreateBatch } from "../../../api/contract/batch-resource.ts";
import { CreateFileFields } from "../../../api/contract/file.ts";

const messages = (result: { error?: { issues: { message: string }[] } }): string[] =>
  result.error?.issues.map(({ message }) => message) ?? [];

describe("a batch", () => {
  it("comes to an end from every status", () => {
    for (const status of BatchStatus.options) {
      const reached = new Set<BatchStatus>([status]);
      for (const from of reached) for (const to of BATCH_TRANSITIONS[from]) reached.add(to);
      expect([...reached].some(isBatchOver), status).toBe(true);
    }
    expect(BatchStatus.options.filter(isBatchOver)).toEqual(["failed", "completed", "expired", "cancelled"]);
  });

  const asked = { input_file_id: "file-1", endpoint: "/v1/chat/completions", completion_window: "24h" };

  it("takes what OpenAI's client sends, and is no dry run unless that is asked for", () => {
    expect(CreateBatch.parse(asked)).toEqual({ ...asked, dry_run: false });
  });

  it("says what endpoints and windows there are", () => {
    expect(messages(CreateBatch.safeParse({ ...asked, endpoint: "/v1/embeddings", completion_window: "1h" }))).toEqual([
      "must be one of `/v1/chat/completions`: the model does nothing else",
      "must be `24h`",
    ]);
  });
});

describe("a line", () => {
  it("has an id, a method, a url and a body, and nothing else", () => {
    const line = { custom_id: "a", method: "POST", url: "/v1/chat/completions", body: {} };
    expect(BatchInputLine.safeParse(line).success).toBe(true);
    expect(BatchInputLine.safeParse({ ...line, custom_id: "" }).success).toBe(false);
    expect(BatchInputLine.safeParse({ ...line, headers: {} }).success).toBe(false);
  });
});

describe("a file", () => {
  it("is for a batch, and kept for an hour at least", () => {
    expect(messages(CreateFileFields.safeParse({ purpose: "vision" }))).toEqual([
      "must be `batch`: files serve nothing else here",
    ]);
    const expires_after = { anchor: "created_at", seconds: 60 };
    expect(CreateFileFields.safeParse({ purpose: "batch", expires_after }).success).toBe(false);
  });
});
