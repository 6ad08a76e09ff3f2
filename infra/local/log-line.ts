const LEVELS: Record<number, string> = { 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal" };

/** A JSON line of a process's log as a line to read: `12:34:56 api info request method=GET status=200`. */
export function formatLogLine(name: string, line: string): string {
  const entry = parse(line);
  if (entry === null) return `${name} | ${line}`;
  const { time, level, msg, name: _, err, ...fields } = entry;
  const clock = new Date(Number(time)).toISOString().slice(11, 19);
  const shown = Object.entries(fields).map(
    ([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  const error = err ? `\n${indent(String((err as { stack?: string }).stack ?? JSON.stringify(err)))}` : "";
  return `${clock} ${name} | ${LEVELS[Number(level)] ?? level} ${[msg, ...shown].join(" ")}${error}`;
}

function parse(line: string): Record<string, unknown> | null {
  try {
    const entry = JSON.parse(line);
    return typeof entry === "object" && entry !== null && "time" in entry && "level" in entry ? entry : null;
  } catch {
    return null;
  }
}

const indent = (text: string): string => text.replace(/^/gm, "    ");
