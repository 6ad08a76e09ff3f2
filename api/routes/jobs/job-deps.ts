import type { ServedModel } from "../../served-model.ts";
import type { DocumentStore } from "../../state/document-store.ts";
import type { JobStore } from "../../state/job-store.ts";
import type { JobStreams } from "../../state/job-streams.ts";
import type { CheckWebhook } from "./check-webhook.ts";

/** What the routes of jobs work with. */
export type JobDeps = {
  jobs: JobStore;
  documents: DocumentStore;
  model: ServedModel;
  streams: JobStreams;
  checkWebhook: CheckWebhook;
  now: () => number;
};
