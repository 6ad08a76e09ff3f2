import { createMiddleware } from "hono/factory";
import { anyOf } from "../contract/counted.ts";
import { AppError } from "../contract/errors.ts";

/** Refuses a body of any other type, or of none, before anything reads it. */
export const mediaTypes = (...allowed: string[]) =>
  createMiddleware(async (c, next) => {
    const sent = c.req.header("content-type");
    const essence = essenceOf(sent);
    if (!allowed.includes(essence)) {
      throw new AppError("unsupported_media_type", `content type ${sent}`, {
        detail: `The content type is ${essence === "" ? "missing" : `\`${essence}\``}: send ${anyOf(allowed)}.`,
      });
    }
    await next();
  });

/** `Text/Plain; charset=utf-8` is `text/plain`. */
export const essenceOf = (contentType: string | undefined): string =>
  contentType?.split(";")[0]?.trim().toLowerCase() ?? "";
