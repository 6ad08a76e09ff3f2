type Deps = {
  /** Of the ECS agent, as it tells each container. */
  agentUri: string;
  fetch: typeof fetch;
  now: () => number;
  log: { warn(fields: object, message: string): void };
};

/** ECS ends protection by itself after this, should this process no longer be able to. */
const EXPIRES_MINUTES = 60;
const RENEW_MS = (EXPIRES_MINUTES / 2) * 60_000;
const TIMEOUT_MS = 5_000;

/** Keeps ECS from scaling this task in while it holds messages: only drained workers go. */
export function createTaskProtection({ agentUri, fetch, now, log }: Deps) {
  let held = 0;
  let setTo = false;
  let setMs = 0;
  let asking = false;
  let setting: Promise<void> | undefined;

  const isDue = () => held > 0 !== setTo || (setTo && now() - setMs >= RENEW_MS);

  async function apply(): Promise<void> {
    while (isDue()) {
      const enabled = held > 0;
      const response = await fetch(`${agentUri}/task-protection/v1/state`, {
        method: "PUT",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ ProtectionEnabled: enabled, ...(enabled && { ExpiresInMinutes: EXPIRES_MINUTES }) }),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (!response.ok) throw new Error(`the ECS agent answered ${response.status}: ${await response.text()}`);
      setTo = enabled;
      setMs = now();
    }
    // Here and not later: what changes from now on must ask again.
    asking = false;
  }

  // A worker without protection gives its jobs back when it is stopped, which costs time and loses nothing.
  function update(): void {
    if (asking || !isDue()) return;
    asking = true;
    setting = apply()
      .catch((error) => log.warn({ err: error }, "task protection not set"))
      .finally(() => {
        asking = false;
      });
  }
  const renewal = setInterval(update, RENEW_MS);
  renewal.unref();

  return {
    /** Protects the task until this and everything else that it holds is done. */
    hold(done: Promise<void>): void {
      held++;
      update();
      void done.then(() => {
        held--;
        update();
      });
    },

    async stop(): Promise<void> {
      clearInterval(renewal);
      await setting;
    },
  };
}
