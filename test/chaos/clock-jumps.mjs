// Loaded before a process's own code, in each of its threads (--import): its wall clock jumps every few seconds by up to
// CHAOS_CLOCK_MS, now ahead, now behind. By how much follows from the true time and CHAOS_CLOCK_SEED, so that all
// threads of a process agree, as they would on a machine whose clock is set.
import { isMainThread } from "node:worker_threads";

const HOLD_MS = 3_000;
const range = Number(process.env.CHAOS_CLOCK_MS ?? 0);
const seed = Number(process.env.CHAOS_CLOCK_SEED ?? 0);
const real = Date.now;

function offset(slot) {
  let mixed = Math.imul(slot ^ Math.imul(seed + 1, 0x9e3779b1), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (((mixed ^ (mixed >>> 16)) >>> 0) / 0x80000000 - 1) * range;
}

if (range > 0) {
  Date.now = () => {
    const now = real();
    return Math.round(now + offset(Math.floor(now / HOLD_MS)));
  };
  if (isMainThread) setInterval(() => process.stderr.write("clock jumped\n"), HOLD_MS).unref();
}
