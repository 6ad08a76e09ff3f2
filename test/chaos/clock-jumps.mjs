// Loaded before a process's own code (--import): its wall clock jumps by up to CHAOS_CLOCK_MS, now ahead, now behind.
const range = Number(process.env.CHAOS_CLOCK_MS ?? 0);
const real = Date.now;
let offset = 0;
Date.now = () => Math.round(real() + offset);
if (range > 0) {
  setInterval(
    () => {
      offset = (Math.random() * 2 - 1) * range;
    },
    1_000 + Math.random() * 2_000,
  ).unref();
}
