import { Batch, type CreateBatch } from "../contract/batch-resource.ts";
import { File as StoredFile } from "../contract/file.ts";
import { problemError } from "./problem-error.ts";
import { accepted } from "./request.ts";

type Options = { baseUrl: string; headers: Record<string, string>; fetch: typeof fetch };

/** JSON lines of a batch, and what to ask with next for those that come after them. */
export type BatchLines = { lines: ReadableStream<Uint8Array> | null; next: string };

type NewBatch = Omit<CreateBatch, "dry_run"> & { dry_run?: boolean };

export type Batches = ReturnType<typeof createBatches>;

/** Files and batches, as OpenAI has them, and the results of a batch that is running. */
export function createBatches({ baseUrl, headers, fetch: send }: Options) {
  const get = (path: string) => send(`${baseUrl}${path}`, { headers });

  return {
    /** Sends the input of a batch as it is read. */
    async upload(input: File): Promise<StoredFile> {
      const form = new FormData();
      form.append("purpose", "batch");
      form.append("file", input);
      const stored = send(`${baseUrl}/v1/files`, { method: "POST", headers, body: form });
      return StoredFile.parse(await accepted("POST /v1/files", stored));
    },

    /** The same key makes one batch, however often it is sent. */
    async create(batch: NewBatch, idempotencyKey: string = crypto.randomUUID()): Promise<Batch> {
      const create = send(`${baseUrl}/v1/batches`, {
        method: "POST",
        headers: { ...headers, "Content-Type": "application/json", "Idempotency-Key": `"${idempotencyKey}"` },
        body: JSON.stringify(batch),
      });
      return Batch.parse(await accepted("POST /v1/batches", create));
    },

    get: async (id: string): Promise<Batch> =>
      Batch.parse(await accepted(`GET /v1/batches/${id}`, get(`/v1/batches/${encodeURIComponent(id)}`))),

    async cancel(id: string): Promise<Batch> {
      const cancel = send(`${baseUrl}/v1/batches/${encodeURIComponent(id)}/cancel`, { method: "POST", headers });
      return Batch.parse(await accepted(`POST /v1/batches/${id}/cancel`, cancel));
    },

    /** The lines that have a result by now, without those before `after`. */
    async results(id: string, after: string): Promise<BatchLines> {
      const query = after === "" ? "" : `?after=${encodeURIComponent(after)}`;
      const response = await get(`/v1/batches/${encodeURIComponent(id)}/results${query}`);
      if (!response.ok) throw await problemError(`GET /v1/batches/${id}/results`, response);
      return { lines: response.body, next: response.headers.get("x-next-cursor") ?? after };
    },
  };
}
