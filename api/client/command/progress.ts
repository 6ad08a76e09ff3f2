import { MultiBar, Presets, type SingleBar } from "cli-progress";
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

export const silentProgress: Progress = { show() {}, pause() {}, resume() {}, stop() {} };

/** Bars on a terminal; elsewhere, in a log for instance, the same lines every two seconds and at the end. */
export function createProgress(stream: Terminal["err"], reportMs: number = REPORT_MS): Progress {
  let bars: { multi: MultiBar; singles: Map<string, SingleBar> } | null = null;
  let isPaused = false;

  function open() {
    const options = {
      format: "{name} {bar} {value}/{total} {unit}{note}",
      formatValue,
      stream,
      noTTYOutput: true,
      notTTYSchedule: reportMs,
      hideCursor: true,
      // It would take Ctrl-C for itself.
      gracefulExit: false,
      barsize: 30,
      emptyOnZero: true,
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
        const shown = {
          name: name.padEnd(8),
          unit: total === 1 ? unit : `${unit}s`,
          note: note === undefined ? "" : ` | ${note}`,
        };
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

const formatValue = (value: number, _options: unknown, type: string): string =>
  type === "value" || type === "total" ? value.toLocaleString("en-US") : String(value);
