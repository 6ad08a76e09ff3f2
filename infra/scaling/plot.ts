import type { Outcome, Sample } from "./simulate.ts";

const WIDTH = 960;
const PANEL = 150;
const MARGIN = { left: 70, top: 36, gap: 34 };

/** Backlog above, workers below, over the hours of one trace. */
export function plotOutcome({ trace, samples, queueWaitSeconds, gpuUtilisation, cost }: Outcome): string {
  const hours = Math.max(1, (samples.at(-1)?.atSeconds ?? 0) / 3_600);
  const x = (sample: Sample) => MARGIN.left + (sample.atSeconds / 3_600 / hours) * (WIDTH - MARGIN.left - 20);
  const panel = (index: number, label: string, lines: { color: string; of: (sample: Sample) => number }[]) => {
    const top = MARGIN.top + index * (PANEL + MARGIN.gap);
    const most = Math.max(1, ...samples.flatMap((sample) => lines.map(({ of }) => of(sample))));
    const y = (value: number) => top + PANEL - (value / most) * PANEL;
    const paths = lines.map(({ color, of }) => {
      const points = samples.map((sample) => `${x(sample).toFixed(1)},${y(of(sample)).toFixed(1)}`).join(" ");
      return `<polyline fill="none" stroke="${color}" stroke-width="1.5" points="${points}"/>`;
    });
    return [
      `<rect x="${MARGIN.left}" y="${top}" width="${WIDTH - MARGIN.left - 20}" height="${PANEL}" fill="none" stroke="#bbb"/>`,
      `<text x="${MARGIN.left}" y="${top - 6}">${label}</text>`,
      `<text x="${MARGIN.left - 6}" y="${top + 10}" text-anchor="end">${Math.round(most).toLocaleString("en-US")}</text>`,
      `<text x="${MARGIN.left - 6}" y="${top + PANEL}" text-anchor="end">0</text>`,
      ...paths,
    ].join("\n");
  };
  const height = MARGIN.top + 2 * (PANEL + MARGIN.gap) + 10;
  const axis = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const at = MARGIN.left + share * (WIDTH - MARGIN.left - 20);
    return `<text x="${at}" y="${height - 26}" text-anchor="middle">${(share * hours).toFixed(1)} h</text>`;
  });
  const title =
    `${trace}: wait p50 ${Math.round(queueWaitSeconds.p50)} s, p99 ${Math.round(queueWaitSeconds.p99)} s; ` +
    `GPU busy ${Math.round(gpuUtilisation * 100)} %; cost ${cost.toFixed(1)}; ${hours.toFixed(1)} h`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="white"/>`,
    `<text x="${MARGIN.left}" y="14" font-weight="bold">${title}</text>`,
    panel(0, "backlog, GPU-seconds", [{ color: "#c0392b", of: (sample) => sample.backlogSeconds }]),
    panel(1, "workers: wanted (grey), running (blue)", [
      { color: "#999", of: (sample) => sample.desired },
      { color: "#2463a8", of: (sample) => sample.running },
    ]),
    ...axis,
    "</svg>\n",
  ].join("\n");
}
