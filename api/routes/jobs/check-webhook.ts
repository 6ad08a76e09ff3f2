import { AppError } from "../../contract/errors.ts";
import { refuseWebhookUrl, type WebhookPolicy } from "../../contract/webhook-target.ts";
import type { WebhookStore } from "../../state/webhooks/webhook-store.ts";
import { webhookDisabled } from "../webhooks.ts";

export type CheckWebhook = (tenant: string, url: string) => Promise<void>;

/** Refuses a webhook that would never be sent, while its client still listens. */
export const createWebhookCheck =
  (webhooks: Pick<WebhookStore, "isDisabled">, policy: WebhookPolicy): CheckWebhook =>
  async (tenant, url) => {
    const reason = refuseWebhookUrl(url, policy);
    if (reason !== null) {
      const field = "webhook.url";
      throw new AppError("invalid_request", "webhook url refused", { field, detail: `\`${field}\` ${reason}.` });
    }
    if (await webhooks.isDisabled(tenant, url)) throw webhookDisabled(url, "webhook.url");
  };
