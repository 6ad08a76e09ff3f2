/** Where things live in the object store. Tenant first, so that access can be granted by prefix. */
export const keys = {
  /** Below it everything of every tenant, but for what is named below. */
  tenants: "t/",
  /** A key between the last of a tenant and the first of the next. */
  afterTenant: (tenant: string) => `t/${tenant}0`,
  job: (tenant: string, job: string) => `t/${tenant}/j/${job}/`,
  jobRequest: (tenant: string, job: string) => `t/${tenant}/j/${job}/request.json`,
  jobState: (tenant: string, job: string) => `t/${tenant}/j/${job}/state.json`,
  jobStream: (tenant: string, job: string) => `t/${tenant}/j/${job}/stream.json`,
  jobResult: (tenant: string, job: string) => `t/${tenant}/j/${job}/result.json`,
  /** What there was of the answers of a job that was stopped; apart, as no later attempt may take it for the whole. */
  jobPartial: (tenant: string, job: string) => `t/${tenant}/j/${job}/partial.json`,
  /** Newest first in the order of a listing. */
  jobIndex: (tenant: string, createdMs: number, job: string) => `t/${tenant}/ix/${newestFirst(createdMs)}-${job}`,
  jobIndexOf: (tenant: string) => `t/${tenant}/ix/`,
  /** The first key of the index that is not newer than `createdMs`. */
  jobIndexFrom: (tenant: string, createdMs: number) => `t/${tenant}/ix/${newestFirst(createdMs)}`,
  /** Entries of the jobs that are not over, or of which something is still owed; see state/jobs/job-index.ts. */
  active: "active/",
  activeOf: (tenant: string) => `active/${tenant}/`,
  /** What each worker says of itself. */
  workers: "workers/",
  worker: (owner: string) => `workers/${owner}.json`,
  quote: (tenant: string, quote: string) => `t/${tenant}/q/${quote}.json`,
  quotesOf: (tenant: string) => `t/${tenant}/q/`,
  idempotency: (tenant: string, hash: string) => `t/${tenant}/idem/${hash}`,
  documentsOf: (tenant: string) => `t/${tenant}/d/`,
  /** A document and everything derived from it. */
  documentAll: (tenant: string, document: string) => `t/${tenant}/d/${document}/`,
  document: (tenant: string, document: string) => `t/${tenant}/d/${document}/text`,
  /** As it was sent, where that is not the text. */
  documentSource: (tenant: string, document: string) => `t/${tenant}/d/${document}/source`,
  documentInfo: (tenant: string, document: string) => `t/${tenant}/d/${document}/info.json`,
  documentIndex: (tenant: string, createdMs: number, document: string) =>
    `t/${tenant}/dx/${newestFirst(createdMs)}-${document}`,
  documentIndexOf: (tenant: string) => `t/${tenant}/dx/`,
  /** As jobIndexFrom. */
  documentIndexFrom: (tenant: string, createdMs: number) => `t/${tenant}/dx/${newestFirst(createdMs)}`,
  /** Uploads under way. What is older than a day here is litter. */
  uploads: "u/",
  upload: (tenant: string, upload: string) => `u/${tenant}/${upload}/body`,
  uploadInfo: (tenant: string, upload: string) => `u/${tenant}/${upload}/upload.json`,
  filesOf: (tenant: string) => `t/${tenant}/f/`,
  file: (tenant: string, file: string) => `t/${tenant}/f/${file}/content`,
  fileInfo: (tenant: string, file: string) => `t/${tenant}/f/${file}/info.json`,
  fileIndex: (tenant: string, createdMs: number, file: string) => `t/${tenant}/fx/${newestFirst(createdMs)}-${file}`,
  fileIndexOf: (tenant: string) => `t/${tenant}/fx/`,
  batchesOf: (tenant: string) => `t/${tenant}/b/`,
  /** A batch and everything that belongs to it. */
  batchAll: (tenant: string, batch: string) => `t/${tenant}/b/${batch}/`,
  batchState: (tenant: string, batch: string) => `t/${tenant}/b/${batch}/batch.json`,
  /** A copy of the input file, which may be deleted while the batch runs. */
  batchInput: (tenant: string, batch: string) => `t/${tenant}/b/${batch}/input.jsonl`,
  /** The results of a shard, which only grow; in the order of a listing as in the final files. */
  batchResults: (tenant: string, batch: string, shard: number) =>
    `t/${tenant}/b/${batch}/results/${String(shard).padStart(5, "0")}.jsonl`,
  batchResultsOf: (tenant: string, batch: string) => `t/${tenant}/b/${batch}/results/`,
  /** Which line of a shard runs alone, after its worker died. */
  batchTrying: (tenant: string, batch: string, shard: number) => `t/${tenant}/b/${batch}/trying/${shard}.json`,
  /** All jobs that the batch ever had, by which they go with it. */
  batchJobs: (tenant: string, batch: string) => `t/${tenant}/b/${batch}/jobs/`,
  /** Jobs of the batch that are not over. See state/batches/batch-parts.ts. */
  batchOpen: (tenant: string, batch: string) => `t/${tenant}/b/${batch}/open/`,
  /** Shards that are over, and what they came to. */
  batchDone: (tenant: string, batch: string) => `t/${tenant}/b/${batch}/done/`,
  batchIndex: (tenant: string, createdMs: number, batch: string) => `t/${tenant}/bx/${newestFirst(createdMs)}-${batch}`,
  batchIndexOf: (tenant: string) => `t/${tenant}/bx/`,
  /** As jobIndexFrom. */
  batchIndexFrom: (tenant: string, createdMs: number) => `t/${tenant}/bx/${newestFirst(createdMs)}`,
  /** Of a job, or of a batch, beside its state. */
  webhookEvents: (tenant: string, of: string) => `t/${tenant}/${of.startsWith("batch_") ? "b" : "j"}/${of}/webhook/`,
  webhookEvent: (tenant: string, of: string, event: string) => `${keys.webhookEvents(tenant, of)}${event}.json`,
  /** Not below `t/`, where everything goes with its retention. */
  webhookSettings: "w/",
  webhookKeyring: (tenant: string) => `w/${tenant}/keys.json`,
  disabledWebhooks: (tenant: string) => `w/${tenant}/disabled/`,
  disabledWebhook: (tenant: string, id: string) => `w/${tenant}/disabled/${id}.json`,
  /** Apart from what tenants own: a worker needs no access to it. */
  apiKeys: (tenant?: string) => (tenant === undefined ? "k/" : `k/${tenant}/`),
  apiKey: (tenant: string, key: string) => `k/${tenant}/${key}/key.json`,
  apiKeyUse: (tenant: string, key: string) => `k/${tenant}/${key}/used.json`,
  /** Of the start-up probe of a store; named by when it was begun. */
  probes: "probe/",
  probe: (begunMs: number, nonce: string) => `probe/${begunMs}-${nonce}`,
};

const lastMs = 9_999_999_999_999;
const newestFirst = (ms: number): string => String(lastMs - ms).padStart(13, "0");

/** When what an entry of an index stands for was made. */
export const entryMs = (entry: string): number => lastMs - Number(/\/(\d{13})-[^/]*$/.exec(entry)?.[1] ?? 0);

/** What may stand for a tenant, a job or a document in a key: one segment, no separators. */
export const isId = (text: string): boolean => /^[A-Za-z0-9_-]{1,128}$/.test(text);
