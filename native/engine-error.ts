/** As in native/engine/error.h, which says what each means. */
export type EngineErrorCode =
  | "invalid_model"
  | "invalid_options"
  | "invalid_request"
  | "context_overflow"
  | "out_of_memory"
  | "device_unavailable"
  | "device_failed"
  | "cancelled"
  | "closed"
  | "internal";

export class EngineError extends Error {
  readonly code: EngineErrorCode;

  constructor(code: EngineErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "EngineError";
    this.code = code;
  }
}

/** What the addon throws, rejects with and passes to `error`: an error without JavaScript frames. */
export type NativeError = Error & { code?: EngineErrorCode };

/**
 * Remembers the stack of its caller, and makes of a native error, which comes from another thread at another time, an
 * EngineError that shows it.
 */
export function rememberCallSite(): (cause: NativeError) => EngineError {
  const site: { stack?: string } = {};
  Error.captureStackTrace(site, rememberCallSite);
  return (cause) => {
    const error = new EngineError(cause.code ?? "internal", cause.message, { cause });
    const frames = site.stack?.slice(site.stack.indexOf("\n")) ?? "";
    error.stack = `${error.name}: ${error.message}${frames}`;
    return error;
  };
}
