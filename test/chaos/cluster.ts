import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { type Child, startChild } from "../../infra/local/child.ts";

const ROOT = new URL("../../", import.meta.url);
const CLOCK = new URL("clock-jumps.mjs", import.meta.url).href;

type Options = {
  env: Record<string, string>;
  workers: number;
  /** By how much the clocks of the processes jump, each by its own. */
  clockMs: number;
  seed: number;
  onLine: (line: string) => void;
};

type Member = { name: string; file: string; child: Child };

/** A process that cannot start, as its disk is full, must not be started in a hot loop. */
const RESTART_MS = 250;

/** An API and several workers, each a process that is started again whenever it ends. */
export async function startCluster({ env, workers, clockMs, seed, onLine }: Options) {
  const port = String(await freePort());
  const url = `http://127.0.0.1:${port}`;
  let isStopping = false;
  let starts = 0;

  const launch = (name: string, file: string): Child =>
    startChild({
      name,
      file: new URL(file, ROOT),
      env: {
        ...process.env,
        ...env,
        GNOMON_PORT: port,
        GNOMON_LEASE_SECONDS: "2",
        GNOMON_MAX_BATCH: "4",
        GNOMON_LOOK_AHEAD: "4",
        GNOMON_GRACE_SECONDS: "5",
        NODE_OPTIONS: `--import=${CLOCK}`,
        CHAOS_CLOCK_MS: String(clockMs),
        CHAOS_CLOCK_SEED: String(seed + ++starts),
      },
      onLine: (who, line) => onLine(`${who} ${line}`),
    });

  const members: Member[] = [
    { name: "api", file: "api/main.ts" },
    ...Array.from({ length: workers }, (_, index) => ({ name: `worker${index}`, file: "worker/main.ts" })),
  ].map((member) => ({ ...member, child: launch(member.name, member.file) }));

  async function supervise(member: Member): Promise<void> {
    for (;;) {
      const how = await member.child.ended;
      if (isStopping) return;
      onLine(`${member.name} ended: ${how}`);
      await delay(RESTART_MS);
      member.child = launch(member.name, member.file);
      if (isStopping) member.child.kill("SIGKILL");
    }
  }
  const supervised = members.map(supervise);
  await Promise.all(members.map(({ child }) => child.ready));

  return {
    url,
    members: members.length,
    /** kill -9 of one of them. False if it was dead already. */
    kill: (index: number): boolean => members[index]?.child.kill("SIGKILL") ?? false,
    /** SIGTERM, as a Spot notice or a new version would. */
    terminate: (index: number): boolean => members[index]?.child.kill("SIGTERM") ?? false,
    async stop(): Promise<void> {
      isStopping = true;
      for (const { child } of members) child.kill("SIGTERM");
      const timer = setTimeout(() => {
        for (const { child } of members) child.kill("SIGKILL");
      }, 20_000);
      await Promise.all(supervised);
      clearTimeout(timer);
    },
  };
}

export type Cluster = Awaited<ReturnType<typeof startCluster>>;

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
