/** Where things live in the object store. Tenant first, so that access can be granted by prefix. */
export const keys = {
  job: (tenant: string, job: string) => `t/${tenant}/j/${job}/`,
  jobRequest: (tenant: string, job: string) => `t/${tenant}/j/${job}/request.json`,
  jobState: (tenant: string, job: string) => `t/${tenant}/j/${job}/state.json`,
  jobResult: (tenant: string, job: string) => `t/${tenant}/j/${job}/result.json`,
  /** Newest first in the order of a listing. */
  jobIndex: (tenant: string, createdMs: number, job: string) => `t/${tenant}/ix/${newestFirst(createdMs)}-${job}`,
  jobIndexOf: (tenant: string) => `t/${tenant}/ix/`,
  /** The first key of the index that is not newer than `createdMs`. */
  jobIndexFrom: (tenant: string, createdMs: number) => `t/${tenant}/ix/${newestFirst(createdMs)}`,
  /** Entries of the jobs that are not over, or of which something is still owed; see state/job-index.ts. */
  active: "active/",
  activeOf: (tenant: string) => `active/${tenant}/`,
  /** What each worker says of itself. */
  workers: "workers/",
  worker: (owner: string) => `workers/${owner}.json`,
  quote: (tenant: string, quote: string) => `t/${tenant}/q/${quote}.json`,
  quotesOf: (tenant: string) => `t/${tenant}/q/`,
  idempotency: (tenant: string, hash: string) => `t/${tenant}/idem/${hash}`,
  document: (tenant: string, document: string) => `t/${tenant}/d/${document}/text`,
  documentInfo: (tenant: string, document: string) => `t/${tenant}/d/${document}/info.json`,
  webhookEvents: (tenant: string, job: string) => `t/${tenant}/j/${job}/webhook/`,
  webhookEvent: (tenant: string, job: string, event: string) => `t/${tenant}/j/${job}/webhook/${event}.json`,
  webhookKeyring: (tenant: string) => `t/${tenant}/webhooks/keys.json`,
  disabledWebhooks: (tenant: string) => `t/${tenant}/webhooks/disabled/`,
  disabledWebhook: (tenant: string, id: string) => `t/${tenant}/webhooks/disabled/${id}.json`,
  /** Apart from what tenants own: a worker needs no access to it. */
  apiKeys: (tenant?: string) => (tenant === undefined ? "k/" : `k/${tenant}/`),
  apiKey: (tenant: string, key: string) => `k/${tenant}/${key}/key.json`,
  apiKeyUse: (tenant: string, key: string) => `k/${tenant}/${key}/used.json`,
  probe: (nonce: string) => `probe/${nonce}`,
};

const newestFirst = (ms: number): string => String(9_999_999_999_999 - ms).padStart(13, "0");

/** What may stand for a tenant, a job or a document in a key: one segment, no separators. */
export const isId = (text: string): boolean => /^[A-Za-z0-9_-]{1,128}$/.test(text);
