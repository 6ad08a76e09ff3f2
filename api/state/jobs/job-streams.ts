import { JobStream } from "../../contract/job-stream.ts";
import { isId, keys } from "../../contract/keys.ts";
import type { ObjectStore } from "../object-store.ts";
import { encode, readRecord } from "../record.ts";

export type JobStreams = ReturnType<typeof createJobStreams>;

/** The text of running jobs, on its way from a worker to those who watch. */
export const createJobStreams = ({ objects }: { objects: ObjectStore }) => ({
  async write(tenant: string, job: string, stream: JobStream): Promise<void> {
    await objects.put(keys.jobStream(tenant, job), encode(stream));
  },

  async read(tenant: string, job: string): Promise<JobStream | null> {
    return isId(job) ? ((await readRecord(objects, keys.jobStream(tenant, job), JobStream))?.value ?? null) : null;
  },

  remove: (tenant: string, job: string): Promise<void> => objects.delete(keys.jobStream(tenant, job)),
});
