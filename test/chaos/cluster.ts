import { createServer } from "node:net";
import { type Child, startChild } from "../../infra/local/child.ts";

const ROOT = new URL("../../", import.meta.url);
const CLOCK = new URL("clock-jumps.mjs", import.meta.url).href;

type Options = {
  env: Record<string, string>;
  workers: number;
  /** By how much the clocks of the workers jump. */
  clockMs: number;
  onLine: (line: string) => void;
};

type Member = { name: string; file: string; clockMs: number; child: Child };

/** An API and several workers, each a process that is started again whenever it ends. */
export async function startCluster({ env, workers, clockMs, onLine }: Options) {
  const port = String(await freePort());
  const url = `http://127.0.0.1:${port}`;
  let isStopping = false;
  let restarts = 0;

  const launch = (name: string, file: string, clock: number): Child =>
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
        CHAOS_CLOCK_MS: String(clock),
      },
      onLine: (who, line) => onLine(`${who} ${line}`),
    });

  const members: Member[] = [
    { name: "api", file: "api/main.ts", clockMs: 0 },
    ...Array.from({ length: workers }, (_, index) => ({ name: `worker${index}`, file: "worker/main.ts", clockMs })),
  ].map((member) => ({ ...member, child: launch(member.name, member.file, member.clockMs) }));

  async function supervise(member: Member): Promise<void> {
    for (;;) {
      const how = await member.child.ended;
      if (isStopping) return;
      onLine(`${member.name} ended: ${how}`);
      restarts++;
      member.child = launch(member.name, member.file, member.clockMs);
    }
  }
  const supervised = members.map(supervise);
  await Promise.all(members.map(({ child }) => child.ready));

  return {
    url,
    members: members.length,
    restarts: () => restarts,
    /** kill -9 of one of them; false if it has only just been started. */
    kill(index: number): void {
      members[index]?.child.kill("SIGKILL");
    },
    /** SIGTERM, as a Spot notice or a new version would. */
    terminate(index: number): void {
      members[index]?.child.kill("SIGTERM");
    },
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
