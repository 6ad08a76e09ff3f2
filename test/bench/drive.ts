import { Agent, request } from "node:http";

export type Answer = { status: number; body: string };

export type Driven = {
  requests: number;
  seconds: number;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
};

type Options = {
  url: string;
  /** Requests at once; each follows the one before it on its connection. */
  connections: number;
  /** The n-th request; null ends the drive. */
  next: (n: number) => { method: "GET" | "POST"; path: string; body?: string } | null;
  onAnswer: (answer: Answer, n: number) => void;
};

/** Sends requests in a closed loop and times each from its first byte out to its last byte in. */
export async function drive({ url, connections, next, onAnswer }: Options): Promise<Driven> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const times: number[] = [];
  let n = 0;

  const send = (method: string, path: string, body: string | undefined) =>
    new Promise<Answer>((resolve, reject) => {
      const headers =
        body === undefined ? {} : { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) };
      const sent = request(`${url}${path}`, { method, agent, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
        response.on("error", reject);
      });
      sent.on("error", (error: NodeJS.ErrnoException) => {
        // A connection that was idle for too long was closed as it was used again: nothing has been read of the request.
        if (sent.reusedSocket && error.code === "ECONNRESET") send(method, path, body).then(resolve, reject);
        else reject(error);
      });
      sent.end(body);
    });

  async function loop(): Promise<void> {
    for (;;) {
      const index = n++;
      const asked = next(index);
      if (asked === null) return;
      const begun = performance.now();
      const answer = await send(asked.method, asked.path, asked.body);
      times.push(performance.now() - begun);
      onAnswer(answer, index);
    }
  }

  const begun = performance.now();
  await Promise.all(Array.from({ length: connections }, loop));
  const seconds = (performance.now() - begun) / 1000;
  agent.destroy();
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return {
    requests: times.length,
    seconds,
    perSecond: times.length / seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
  };
}
