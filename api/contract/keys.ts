/** Where things live in the object store. Tenant first, so that access can be granted by prefix. */
export const keys = {
  jobRequest: (tenant: string, job: string) => `t/${tenant}/j/${job}/request.json`,
  jobState: (tenant: string, job: string) => `t/${tenant}/j/${job}/state.json`,
  jobResult: (tenant: string, job: string) => `t/${tenant}/j/${job}/result.json`,
  document: (tenant: string, document: string) => `t/${tenant}/d/${document}/text`,
  documentInfo: (tenant: string, document: string) => `t/${tenant}/d/${document}/info.json`,
  webhookEvents: (tenant: string, job: string) => `t/${tenant}/j/${job}/webhook/`,
  webhookEvent: (tenant: string, job: string, event: string) => `t/${tenant}/j/${job}/webhook/${event}.json`,
  webhookKeyring: (tenant: string) => `t/${tenant}/webhooks/keys.json`,
  disabledWebhooks: (tenant: string) => `t/${tenant}/webhooks/disabled/`,
  disabledWebhook: (tenant: string, id: string) => `t/${tenant}/webhooks/disabled/${id}.json`,
  probe: (nonce: string) => `probe/${nonce}`,
};

/** What may stand for a tenant, a job or a document in a key: one segment, no separators. */
export const isId = (text: string): boolean => /^[A-Za-z0-9_-]{1,128}$/.test(text);
