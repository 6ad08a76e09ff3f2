import type { Price } from "../../contract/job.ts";
import type { Estimates } from "../../estimates.ts";
import type { ServedModel } from "../../served-model.ts";
import type { DocumentStore } from "../../state/documents/document-store.ts";
import type { ActiveJobs } from "../../state/jobs/active-jobs.ts";
import type { JobStore } from "../../state/jobs/job-store.ts";
import type { JobStreams } from "../../state/jobs/job-streams.ts";
import type { QuotaGate } from "../../state/jobs/quota.ts";
import type { QuoteStore } from "../../state/jobs/quote-store.ts";
import type { CheckWebhook } from "./check-webhook.ts";

/** What the routes of jobs work with. */
export type JobDeps = {
  jobs: JobStore;
  documents: DocumentStore;
  quotes: QuoteStore;
  model: ServedModel;
  price: Price | null;
  active: ActiveJobs;
  gate: QuotaGate;
  estimates: Estimates;
  streams: JobStreams;
  checkWebhook: CheckWebhook;
  /** A request that waits for a job is answered by then. */
  waitMs: number;
  now: () => number;
  newId: () => string;
};
