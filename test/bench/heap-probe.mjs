// Preloaded into the api process: on SIGUSR2 it says on stdout what its memory is made of, collects all garbage, and says
// what is alive.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");

process.on("SIGUSR2", () => {
  const before = process.memoryUsage();
  // Twice: what the first finalises may have held more.
  collect();
  collect();
  const after = process.memoryUsage();
  const probed = {
    heap_total_bytes: before.heapTotal,
    external_bytes: before.external,
    live_heap_bytes: after.heapUsed,
    live_external_bytes: after.external,
    rss_collected_bytes: after.rss,
  };
  process.stdout.write(`${JSON.stringify({ probed })}\n`);
});
