import { MultiBar, type Options, type Params, Presets, type SingleBar } from "cli-progress";
import type { Terminal } from "./terminal.ts";

export type ProgressLine = {
  name: string;
  value: number;
  total: number;
  /** What is counted, one of it: "line". */
  unit: string;
  note?: string;
};

export type Progress = {
  /** Every line, each time. */
  show(lines: readonly ProgressLine[]): void;
  /** Until `resume` nothing is drawn: the terminal is needed for something else. */
  pause(): void;
  resume(): void;
  /** Leaves the last state to be read. May be shown again. */
  stop(): void;
};

/** Between two reports where the output is no terminal. */
const REPORT_MS = 2_000;
const BAR_WIDTH = 30;
const MIN_BAR_WIDTH = 6;

export const silentProgress: Progress = { show() {}, pause() {}, resume() {}, stop() {} };

/** Bars on a terminal; elsewhere, in a log for instance, the same lines every two seconds and at the end. */
export function createProgress(stream: Terminal["err"], reportMs: number = REPORT_MS): Progress {
  let bars: { multi: MultiBar; singles: Map<string, SingleBar> } | null = null;
  let isPaused = false;

  function open() {
    const options = {
      format: formatLine,
      stream,
      noTTYOutput: true,
      notTTYSchedule: reportMs,
      hideCursor: true,
      // It would take Ctrl-C for itself.
      gracefulExit: false,
    };
    return { multi: new MultiBar(options, Presets.shades_classic), singles: new Map<string, SingleBar>() };
  }

  function stop() {
    bars?.multi.stop();
    bars = null;
  }

  return {
    show(lines) {
      if (isPaused) return;
      bars ??= open();
      for (const { name, value, total, unit, note } of lines) {
        const shown: Shown = { name: name.padEnd(8), unit: total === 1 ? unit : `${unit}s`, note };
        const bar = bars.singles.get(name) ?? bars.multi.create(total, value, shown);
        bars.singles.set(name, bar);
        bar.setTotal(total);
        bar.update(value, shown);
      }
    },
    pause() {
      stop();
      isPaused = true;
    },
    resume() {
      isPaused = false;
    },
    stop,
  };
}

type Shown = { name: string; unit: string; note: string | undefined };

/** Without a bar as long as nobody knows of how much. */
function formatLine(_options: Options, { value, total, maxWidth }: Params, { name, unit, note }: Shown): string {
  if (total === 0) return `${name} ${note ?? ""}`.trimEnd();
  const counts = `${value.toLocaleString("en-US")}/${total.toLocaleString("en-US")} ${unit}`;
  const text = `${counts}${note === undefined ? "" : ` | ${note}`}`;
  // Where the terminal is narrow, what is to be read comes first.
  const width = Math.min(BAR_WIDTH, maxWidth - name.length - text.length - 2);
  if (width < MIN_BAR_WIDTH) return `${name} ${text}`;
  const full = Math.floor(width * Math.min(1, value / total));
  return `${name} ${"█".repeat(full)}${"░".repeat(width - full)} ${text}`;
}
