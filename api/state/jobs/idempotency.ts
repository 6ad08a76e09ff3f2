import { z } from "zod";
import { AppError } from "../../contract/errors.ts";
import type { JobState } from "../../contract/job.ts";
import { keys } from "../../contract/keys.ts";
import { limits } from "../../contract/limits.ts";
import type { ObjectStore, Put } from "../object-store.ts";
import { encode, readRecord } from "../record.ts";
import type { JobStates } from "./job-states.ts";

/** Which job a tenant's Idempotency-Key stands for, and for what body. */
const IdempotencyRecord = z.object({ job: z.string(), fingerprint: z.string(), created_ms: z.int() });
type IdempotencyRecord = z.infer<typeof IdempotencyRecord>;

export type IdempotencyKeys = ReturnType<typeof createIdempotencyKeys>;

type Deps = { objects: ObjectStore; states: Pick<JobStates, "read">; now: () => number };

/** A key lives as long as its job. */
export function createIdempotencyKeys({ objects, states, now }: Deps) {
  const read = (tenant: string, hash: string) => readRecord(objects, keys.idempotency(tenant, hash), IdempotencyRecord);

  /** The job of an earlier request; null if that one broke off before it was accepted. */
  async function earlierJob(tenant: string, record: IdempotencyRecord, fingerprint: string): Promise<JobState | null> {
    if (record.fingerprint !== fingerprint) {
      throw new AppError("idempotency_mismatch", `key of job ${record.job} came with another body`, {
        detail: "This Idempotency-Key came before with another request: use a new key for a new request.",
      });
    }
    const state = (await states.read(tenant, record.job))?.value;
    if (state !== undefined) return state;
    if (now() - record.created_ms > brokenOffMs) return null;
    throw new AppError("idempotency_in_progress", `submit of job ${record.job} is in progress`, {
      detail: "A request with this Idempotency-Key is still in progress: send it again in a moment.",
      retryAfterSeconds: 1,
    });
  }

  /** Makes the key stand for `job`, if it stands for none. */
  const claimOf = (tenant: string, hash: string, fingerprint: string, job: string): Put => ({
    key: keys.idempotency(tenant, hash),
    body: encode({ job, fingerprint, created_ms: now() } satisfies IdempotencyRecord),
    ifAbsent: true,
  });

  return {
    /** The job that this key made already, if any. Throws `idempotency_mismatch`, `idempotency_in_progress`. */
    async find(tenant: string, hash: string, fingerprint: string): Promise<JobState | null> {
      const stored = await read(tenant, hash);
      return stored === null ? null : earlierJob(tenant, stored.value, fingerprint);
    },

    claimOf,

    /** Makes the key stand for `job`: null. Or the job that it stands for already. */
    async take(tenant: string, hash: string, fingerprint: string, job: string): Promise<JobState | null> {
      const { key, body } = claimOf(tenant, hash, fingerprint, job);
      for (;;) {
        if ((await objects.putIfAbsent(key, body)) !== null) return null;
        const stored = await read(tenant, hash);
        if (stored === null) continue;
        const earlier = await earlierJob(tenant, stored.value, fingerprint);
        if (earlier !== null) return earlier;
        if ((await objects.compareAndSwap(key, stored.etag, body)) !== null) return null;
      }
    },

    /** Forgets the key if it stands for `job`. */
    async release(tenant: string, hash: string, job: string): Promise<void> {
      const stored = await read(tenant, hash);
      if (stored?.value.job === job) await objects.delete(keys.idempotency(tenant, hash));
    },
  };
}

/**
 * After this a submit that has not stored its job never will, and what it wrote can be removed: its last step, a
 * conditional write of the state, was begun within submitMs, and the clock that says so may be another machine's.
 */
export const brokenOffMs = limits.submitMs + limits.conditionalWriteMs + limits.clocksApartMs;
