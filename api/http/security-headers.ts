import { secureHeaders } from "hono/secure-headers";

/**
 * Nothing that the service sends may be run, framed or sniffed by a browser. A page sets a policy of its own, which stays.
 * There is no CORS header anywhere: pages of other sites cannot read what this service says.
 */
export const securityHeaders = secureHeaders({
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
  },
  strictTransportSecurity: "max-age=31536000",
  xFrameOptions: "DENY",
  overwrite: false,
});
