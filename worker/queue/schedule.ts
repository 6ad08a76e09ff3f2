// Which job of those at hand joins the engine's batch next: a pure choice, without clocks or I/O.
import type { Priority } from "../../api/contract/job.ts";
import type { FairShare } from "./fair-share.ts";

export type Candidate = {
  tenant: string;
  /** Jobs with the same one begin with the same text. */
  document: string | null;
  priority: Priority;
  deliverByMs: number | null;
  createdMs: number;
  /** When this worker received it. */
  receivedMs: number;
  /** Prompt and answers over all its sequences. */
  tokens: number;
  /** Sequences of it. */
  seats: number;
  /** KV state over all its sequences. */
  memory: Memory;
  /** It was running when a worker died. */
  isSuspect: boolean;
};

export type Memory = { deviceBytes: number; hostBytes: number };

export type Room = {
  /** Seats and memory of the engine's batch, and what of them is free. */
  seats: number;
  freeSeats: number;
  memory: Memory;
  freeMemory: Memory;
  isIdle: boolean;
  /** A suspect runs, and must stay alone. */
  isReserved: boolean;
  /** Documents of the jobs that run, as documentKey. */
  documents: ReadonlySet<string>;
};

/** A job that waited so long counts as one class more urgent: priority delays the others, it does not starve them. */
export const AGEING_MS = 10 * 60_000;
/** A job that was passed over for so long is let in before any other of its class, even if the batch must drain for it. */
export const PATIENCE_MS = 30_000;

const CLASSES: Record<Priority, number> = { high: 0, normal: 1, low: 2 };

/** The next job, or null to let the batch run on as it is. */
export function chooseNext<C extends Candidate>(
  candidates: readonly C[],
  room: Room,
  share: FairShare,
  nowMs: number,
): C | null {
  if (room.isReserved || candidates.length === 0) return null;
  share.retain(new Set(candidates.map(({ tenant }) => tenant)));

  const suspects = candidates.filter(({ isSuspect }) => isSuspect);
  if (suspects.length > 0) return (room.isIdle && minBy(suspects, byArrival)) || null;

  const classOf = ({ priority, createdMs }: C): number =>
    Math.max(0, CLASSES[priority] - Math.floor(Math.max(0, nowMs - createdMs) / AGEING_MS));
  for (const rank of [0, 1, 2]) {
    const peers = candidates.filter((candidate) => classOf(candidate) === rank);
    const overdue = peers.filter(({ receivedMs }) => nowMs - receivedMs >= PATIENCE_MS);
    const eldest = minBy(overdue, byArrival);
    if (eldest && !fits(eldest, room)) return null;

    const heads = new Map<string, C>();
    const order = inTenant(room);
    for (const candidate of eldest ? overdue : peers) {
      if (!fits(candidate, room)) continue;
      const head = heads.get(candidate.tenant);
      if (!head || order(candidate, head) < 0) heads.set(candidate.tenant, candidate);
    }
    const costs = new Map([...heads].map(([tenant, { tokens }]) => [tenant, tokens]));
    const tenant = share.next(costs);
    const chosen = tenant === undefined ? undefined : heads.get(tenant);
    if (chosen) {
      share.charge(chosen.tenant, chosen.tokens, costs);
      return chosen;
    }
  }
  return null;
}

export const documentKey = ({ tenant, document }: Pick<Candidate, "tenant" | "document">): string | null =>
  document === null ? null : `${tenant}/${document}`;

/** Seats and memory that must be free. One that takes more than half the batch starts in half of it; its rest waits inside. */
export function needs({ seats, memory }: Candidate, room: Room): { seats: number } & Memory {
  return {
    seats: Math.min(seats, Math.max(1, Math.floor(room.seats / 2))),
    deviceBytes: Math.min(memory.deviceBytes, room.memory.deviceBytes / 2),
    hostBytes: Math.min(memory.hostBytes, room.memory.hostBytes / 2),
  };
}

function fits(candidate: Candidate, room: Room): boolean {
  const { seats, deviceBytes, hostBytes } = needs(candidate, room);
  return (
    room.isIdle ||
    (seats <= room.freeSeats && deviceBytes <= room.freeMemory.deviceBytes && hostBytes <= room.freeMemory.hostBytes)
  );
}

/** Nearest deadline; then documents that are at work already; then the largest, so that small ones fill what is left. */
const inTenant =
  ({ documents }: Room) =>
  (a: Candidate, b: Candidate): number => {
    const far = Number.MAX_SAFE_INTEGER;
    const isCold = (candidate: Candidate) => (documents.has(documentKey(candidate) ?? "") ? 0 : 1);
    return (
      (a.deliverByMs ?? far) - (b.deliverByMs ?? far) ||
      isCold(a) - isCold(b) ||
      b.memory.deviceBytes + b.memory.hostBytes - (a.memory.deviceBytes + a.memory.hostBytes) ||
      byArrival(a, b)
    );
  };

const byArrival = (a: Candidate, b: Candidate): number => a.receivedMs - b.receivedMs || a.createdMs - b.createdMs;

function minBy<T>(items: readonly T[], compare: (a: T, b: T) => number): T | undefined {
  return items.reduce<T | undefined>(
    (best, item) => (best === undefined || compare(item, best) < 0 ? item : best),
    undefined,
  );
}
