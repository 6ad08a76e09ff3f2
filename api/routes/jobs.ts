import { createRouter } from "../http/router.ts";
import { createJobRoute } from "./jobs/create-job.ts";
import { endJobRoutes } from "./jobs/end-job.ts";
import { getJobRoute } from "./jobs/get-job.ts";
import { getResultRoute } from "./jobs/get-result.ts";
import type { JobDeps } from "./jobs/job-deps.ts";
import { jobEventsRoute } from "./jobs/job-events.ts";
import { listJobsRoute } from "./jobs/list-jobs.ts";
import { quoteJobRoute } from "./jobs/quote-job.ts";

export const jobRoutes = (deps: JobDeps) =>
  createRouter()
    .route("/", createJobRoute(deps))
    .route("/", quoteJobRoute(deps))
    .route("/", listJobsRoute(deps))
    .route("/", getJobRoute(deps))
    .route("/", getResultRoute(deps))
    .route("/", jobEventsRoute(deps))
    .route("/", endJobRoutes(deps));
