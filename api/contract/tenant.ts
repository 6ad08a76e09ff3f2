/** Everything belongs to one tenant until requests say whose they are. */
export const SINGLE_TENANT = "default";
