/** Every error a client, a job record or an operator can see. Status and title follow from the code. */
export const ERRORS = {
  invalid_request: { status: 400, retryable: false, title: "The request is not valid" },
  malformed_json: { status: 400, retryable: false, title: "The body is not valid JSON" },
  json_too_many_values: { status: 400, retryable: false, title: "The body has too many values" },
  json_too_deep: { status: 400, retryable: false, title: "The body is nested too deeply" },
  context_overflow: { status: 400, retryable: false, title: "The prompt is longer than the model allows" },
  idempotency_key_invalid: { status: 400, retryable: false, title: "The Idempotency-Key is not valid" },
  budget_exceeded: { status: 400, retryable: false, title: "The job does not fit its budget" },
  api_key_missing: { status: 401, retryable: false, title: "An API key is needed" },
  api_key_invalid: { status: 401, retryable: false, title: "The API key is not valid" },
  insufficient_scope: { status: 403, retryable: false, title: "The API key may not do this" },
  origin_refused: { status: 403, retryable: false, title: "The request comes from another site" },
  url_refused: { status: 403, retryable: false, title: "The signed URL is not valid" },
  not_found: { status: 404, retryable: false, title: "There is nothing at this address" },
  job_not_found: { status: 404, retryable: false, title: "No such job" },
  api_key_not_found: { status: 404, retryable: false, title: "No such API key" },
  quote_not_found: { status: 404, retryable: false, title: "No such quote" },
  upload_not_found: { status: 404, retryable: false, title: "No such upload" },
  document_not_found: { status: 404, retryable: false, title: "No such document" },
  file_not_found: { status: 404, retryable: false, title: "No such file" },
  batch_not_found: { status: 404, retryable: false, title: "No such batch" },
  model_not_found: { status: 404, retryable: false, title: "No such model" },
  webhook_event_not_found: { status: 404, retryable: false, title: "No such webhook event" },
  method_not_allowed: { status: 405, retryable: false, title: "The method is not allowed here" },
  result_not_ready: { status: 409, retryable: true, title: "The job has not finished" },
  upload_incomplete: { status: 409, retryable: true, title: "Nothing has been uploaded yet" },
  own_key: { status: 409, retryable: false, title: "An API key cannot revoke itself" },
  job_not_succeeded: { status: 409, retryable: false, title: "The job ended without a result" },
  webhook_disabled: { status: 409, retryable: false, title: "Webhooks to this URL are disabled" },
  too_many_webhook_keys: { status: 409, retryable: false, title: "Too many webhook keys sign at the same time" },
  job_not_finished: { status: 409, retryable: true, title: "The job is not over yet" },
  job_not_retryable: { status: 409, retryable: false, title: "The job needs no other try" },
  batch_over: { status: 409, retryable: false, title: "The batch is over already" },
  idempotency_in_progress: {
    status: 409,
    retryable: true,
    title: "A request with this Idempotency-Key is in progress",
  },
  document_unreadable: { status: 422, retryable: false, title: "The document cannot be turned to text" },
  idempotency_mismatch: { status: 422, retryable: false, title: "The Idempotency-Key was used for another request" },
  quota_exceeded: { status: 429, retryable: true, title: "The quota is used up" },
  payload_too_large: { status: 413, retryable: false, title: "The body is too large" },
  unsupported_media_type: { status: 415, retryable: false, title: "The content type is not supported" },
  invalid_model: { status: 500, retryable: false, title: "The model cannot be loaded" },
  out_of_memory: { status: 500, retryable: false, title: "The engine has too little memory for this job" },
  attempts_exhausted: { status: 500, retryable: false, title: "The job crashed its worker too often" },
  exposed_without_keys: { status: 500, retryable: false, title: "Other machines could use the service without a key" },
  invalid_environment: { status: 500, retryable: false, title: "The environment is not valid" },
  store_unsuitable: { status: 500, retryable: false, title: "The object store lacks compare-and-swap" },
  engine_failed: { status: 500, retryable: true, title: "The engine failed" },
  lease_lost: { status: 500, retryable: true, title: "Another worker took the job over" },
  answer_too_slow: { status: 504, retryable: false, title: "The answer takes longer than a request may" },
  unavailable: { status: 503, retryable: true, title: "The service is not available now" },
  storage_full: { status: 507, retryable: true, title: "The service has no room to store more" },
  internal: { status: 500, retryable: true, title: "An internal error" },
} as const satisfies Record<string, { status: number; retryable: boolean; title: string }>;

export type ErrorCode = keyof typeof ERRORS;

type AppErrorOptions = {
  /** What the caller may read: what was wrong and how to mend it. */
  detail?: string;
  /** Path of the offending field of the request, e.g. `document.text`. */
  field?: string;
  /** Extra members of the problem document, e.g. `{ prompt_tokens: 131090 }`. */
  extra?: Record<string, unknown>;
  /** When to try again. */
  retryAfterSeconds?: number;
  cause?: unknown;
};

/** The one error class. `message` is for operators; only code, title, detail, field and extra leave the process. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly detail: string | undefined;
  readonly field: string | undefined;
  readonly extra: Record<string, unknown>;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = "AppError";
    this.code = code;
    this.detail = options.detail;
    this.field = options.field;
    this.extra = options.extra ?? {};
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}
