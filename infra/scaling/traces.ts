export type Arrival = { atSeconds: number; gpuSeconds: number };
/** Spot instances are taken back, this share of them, and none are to be had for a while. */
export type SpotStorm = { atSeconds: number; share: number; withoutCapacitySeconds: number };
export type Trace = { name: string; arrivals: Arrival[]; storms: SpotStorm[]; seconds: number };

const HOUR = 3_600;

/** mulberry32: the same trace for the same seed, everywhere. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Documents of a few thousand to a few hundred thousand tokens: most jobs take seconds, some take minutes. */
const jobSeconds = (random: () => number): number => Math.exp(Math.log(0.5) + random() * Math.log(120));

/** A Poisson process whose rate, in GPU-seconds of work a second, may change with time. */
function arrivals(random: () => number, seconds: number, load: (atSeconds: number) => number): Arrival[] {
  const meanSeconds = (0.5 * 119) / Math.log(120);
  const found: Arrival[] = [];
  const top = Math.max(...Array.from({ length: 200 }, (_, index) => load((index / 200) * seconds)));
  for (let at = 0; ; ) {
    at += (-Math.log(1 - random()) * meanSeconds) / top;
    if (at >= seconds) return found;
    if (random() < load(at) / top) found.push({ atSeconds: at, gpuSeconds: jobSeconds(random) });
  }
}

/** The four days that a deployment is planned for. Load 1 keeps one GPU busy. */
export function createTraces(seed: number): Trace[] {
  const seconds = 8 * HOUR;
  const end = seconds + 8 * HOUR;
  const burst = (at: number) => (Math.floor(at / HOUR) % 2 === 1 && at % HOUR < 900 ? 12 : 0.2);
  const random = createRandom(seed);
  const batch = Array.from({ length: 2_000 }, () => ({ atSeconds: 600, gpuSeconds: jobSeconds(random) }));
  return [
    { name: "steady", arrivals: arrivals(createRandom(seed + 1), seconds, () => 2.5), storms: [], seconds: end },
    { name: "bursty", arrivals: arrivals(createRandom(seed + 2), seconds, burst), storms: [], seconds: end },
    { name: "giant batch", arrivals: batch, storms: [], seconds: end },
    {
      name: "spot storms",
      arrivals: arrivals(createRandom(seed + 3), seconds, () => 4),
      storms: [1.5, 3, 3.5, 6].map((hour) => ({ atSeconds: hour * HOUR, share: 0.7, withoutCapacitySeconds: 1_200 })),
      seconds: end,
    },
  ];
}
