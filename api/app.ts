import type { Price } from "./contract/job.ts";
import type { WebhookPolicy } from "./contract/webhook-target.ts";
import { createEstimates } from "./estimates.ts";
import type { Access } from "./http/access.ts";
import { authorize } from "./http/authorize.ts";
import { limitBody, limitShape } from "./http/body-limits.ts";
import { problemResponse, toAppError } from "./http/problem.ts";
import { type Log, logRequests } from "./http/request-log.ts";
import { createRouter } from "./http/router.ts";
import { securityHeaders } from "./http/security-headers.ts";
import { unroutedError } from "./http/unrouted.ts";
import { describeApi } from "./openapi.ts";
import { apiKeyRoutes } from "./routes/api-keys.ts";
import { batchRoutes } from "./routes/batches.ts";
import { chatRoutes } from "./routes/chat.ts";
import { documentRoutes } from "./routes/documents.ts";
import { fileRoutes } from "./routes/files.ts";
import { healthRoutes } from "./routes/health.ts";
import { createWebhookCheck } from "./routes/jobs/check-webhook.ts";
import { jobRoutes } from "./routes/jobs.ts";
import { modelRoutes } from "./routes/models.ts";
import { objectRoutes } from "./routes/objects.ts";
import { problemRoutes } from "./routes/problems.ts";
import { referenceRoutes } from "./routes/reference.ts";
import { scalingRoutes } from "./routes/scaling.ts";
import { webhookEventRoutes } from "./routes/webhook-events.ts";
import { describeWebhooks, webhookRoutes } from "./routes/webhooks.ts";
import type { ServedModel } from "./served-model.ts";
import type { ApiKeyStore } from "./state/api-key-store.ts";
import type { BatchEnd } from "./state/batches/batch-end.ts";
import type { BatchStore } from "./state/batches/batch-store.ts";
import type { Convert, DocumentStore } from "./state/documents/document-store.ts";
import type { UploadStore } from "./state/documents/upload-store.ts";
import type { ObjectUrls } from "./state/embedded/object-urls.ts";
import type { FileStore } from "./state/files/file-store.ts";
import { createActiveJobs } from "./state/jobs/active-jobs.ts";
import type { Backlog } from "./state/jobs/backlog.ts";
import type { JobStore } from "./state/jobs/job-store.ts";
import type { JobStreams } from "./state/jobs/job-streams.ts";
import { createQuotaGate, type Quota } from "./state/jobs/quota.ts";
import { createQuoteStore } from "./state/jobs/quote-store.ts";
import type { ObjectStore } from "./state/object-store.ts";
import type { WebhookKeyrings } from "./state/webhooks/webhook-keyring.ts";
import type { WebhookStore } from "./state/webhooks/webhook-store.ts";
import { createWorkerReports } from "./state/worker-reports.ts";

export type AppDeps = {
  jobs: JobStore;
  documents: DocumentStore;
  files: FileStore;
  batches: BatchStore;
  batchEnd: BatchEnd;
  backlog: () => Promise<Backlog>;
  streams: JobStreams;
  uploads: UploadStore;
  convert: Convert;
  maxDocumentBytes: number;
  webhooks: WebhookStore;
  keyrings: WebhookKeyrings;
  webhookPolicy: WebhookPolicy;
  model: ServedModel;
  objects: ObjectStore;
  quota: Quota;
  price: Price | null;
  /** Where the object store leaves serving its presigned URLs to us. */
  signedObjects: { objects: ObjectStore; urls: ObjectUrls } | null;
  access: Access;
  apiKeys: ApiKeyStore;
  /** Throws AppError `unavailable` where the service cannot take jobs. */
  checkReady: () => Promise<void>;
  /** A request that waits for a job is answered by then, as it would be cut off otherwise. */
  waitMs: number;
  now: () => number;
  newId: () => string;
  randomSeed: () => number;
  log: Log;
};

/** The whole HTTP service, without I/O of its own: the same for a listening server, a Lambda and a test. */
export function createApp(deps: AppDeps) {
  const app = createRouter();
  const { jobs, objects, model, now, newId } = deps;
  const active = createActiveJobs({ index: jobs.index, now });
  const estimates = createEstimates({ active, workers: createWorkerReports({ objects, now }), model: model.id });
  const gate = createQuotaGate({ active, quota: deps.quota, drainSeconds: estimates.drainSeconds });
  const quotes = createQuoteStore({ objects, now, newId });
  const checkWebhook = createWebhookCheck(deps.webhooks, deps.webhookPolicy);
  const jobDeps = { ...deps, active, estimates, gate, quotes, checkWebhook };
  app.use(logRequests(deps));
  app.use(securityHeaders, authorize(deps.access), limitBody, limitShape);

  const routes = app
    .route("/", jobRoutes(jobDeps))
    .route("/", chatRoutes(jobDeps))
    .route("/", webhookRoutes(deps))
    .route("/", webhookEventRoutes(deps))
    .route("/", documentRoutes(deps))
    .route("/", fileRoutes(deps))
    .route("/", batchRoutes(jobDeps))
    .route("/", apiKeyRoutes(deps))
    .route("/", modelRoutes(deps.model))
    .route("/", scalingRoutes(deps))
    .route("/", healthRoutes(deps.checkReady))
    .route("/", problemRoutes());
  if (deps.signedObjects) app.route("/", objectRoutes({ ...deps.signedObjects, maxBytes: deps.maxDocumentBytes }));

  describeWebhooks(app);
  let description: ReturnType<typeof describeApi> | undefined;
  app.get("/openapi.json", (c) => {
    description ??= describeApi(app);
    return c.json(description);
  });
  app.route("/", referenceRoutes());

  app.notFound((c) => problemResponse(c, unroutedError(app, c)));
  app.onError(async (thrown, c) => {
    const error = await toAppError(thrown, c);
    if (error.status >= 500)
      deps.log.error({ request_id: c.get("requestId"), code: error.code, err: error }, "request failed");
    if (error.status === 401 || error.status === 403) {
      deps.log.info({ request_id: c.get("requestId"), code: error.code, reason: error.message }, "request refused");
    }
    return problemResponse(c, error);
  });
  return routes;
}
