import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import type { DocumentType } from "../contract/document.ts";
import { AppError } from "../contract/errors.ts";
import type { Convert } from "../state/documents/document-store.ts";

const CHILD = fileURLToPath(new URL("child.ts", import.meta.url));
const CODE = ["./", "../../node_modules/", "../../package.json"].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);
const WATCH_MS = 100;
/** Linux counts resident memory in pages of this size on x86-64 and most of arm64. */
const PAGE_BYTES = 4096;
const UNREADABLE = 3;
const MAX_REASON = 2_000;

type Limits = { convertMs: number; convertMemoryBytes: number; convertsAtOnce: number };

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** Documents turned to text, each in a process of its own that is ended when it takes too long or too much memory. */
export function createConverter({ convertMs, convertMemoryBytes, convertsAtOnce }: Limits): Convert {
  const slots = createSlots(convertsAtOnce);

  return async function* convert(source, type) {
    await slots.take();
    const child = start(type, convertMemoryBytes);
    const watch = watchOver(child, convertMs, convertMemoryBytes);
    try {
      const closed = once(child, "close") as Promise<[number | null]>;
      closed.catch(() => undefined);
      const reason = readReason(child.stderr);
      // A child that refuses what it reads ends before the source does: its status says so, not the broken pipe.
      const fed = pipeline(Readable.from(source), child.stdin).catch(() => undefined);
      yield* child.stdout;
      const [status] = await closed;
      await fed;
      if (watch.why !== undefined) throw unreadable(watch.why);
      if (status === UNREADABLE) throw unreadable((await reason).trim().split("\n").at(-1) ?? "");
      if (status !== 0) throw failed(status, await reason);
    } finally {
      child.kill("SIGKILL");
      watch.end();
      slots.give();
    }
  };
}

/** No environment, no files but the program's own, no processes, no addons. */
function start(type: DocumentType, memoryBytes: number): Child {
  const heapMb = Math.floor((memoryBytes * 0.75) / 1024 / 1024);
  const readable = CODE.map((path) => `--allow-fs-read=${path}${path.endsWith("/") ? "*" : ""}`);
  const flags = ["--permission", ...readable, `--max-old-space-size=${heapMb}`, "--no-warnings"];
  return spawn(process.execPath, [...flags, CHILD, type], { stdio: ["pipe", "pipe", "pipe"], env: {} });
}

function watchOver(child: Child, ms: number, memoryBytes: number) {
  const watch: { why?: string; end(): void } = {
    end() {
      clearTimeout(tooLong);
      clearInterval(look);
    },
  };
  const stop = (why: string) => {
    watch.why ??= why;
    child.kill("SIGKILL");
  };
  const tooLong = setTimeout(() => stop(`it takes more than ${ms / 1000} s to read`), ms);
  const weigh = async () => {
    const bytes = await residentBytes(child.pid);
    if (bytes > memoryBytes) stop(`it takes more than ${Math.round(memoryBytes / 1024 ** 2)} MiB of memory to read`);
  };
  const look = setInterval(() => void weigh(), WATCH_MS);
  return watch;
}

/** 0 where the system does not tell; the limit of the heap still holds there. */
async function residentBytes(pid: number | undefined): Promise<number> {
  const statm = await readFile(`/proc/${pid}/statm`, "utf8").catch(() => "");
  return Number(statm.split(" ")[1] ?? 0) * PAGE_BYTES;
}

async function readReason(stderr: Readable): Promise<string> {
  let text = "";
  for await (const chunk of stderr.setEncoding("utf8")) if (text.length < MAX_REASON) text += chunk;
  return text;
}

const unreadable = (why: string): AppError =>
  new AppError("document_unreadable", `document not converted: ${why}`, {
    field: "body",
    detail: `${why.charAt(0).toUpperCase()}${why.slice(1)}.`,
  });

/** Out of memory included, which ends the process with a signal. */
const failed = (status: number | null, reason: string): AppError =>
  new AppError("document_unreadable", `the converter ended with ${status ?? "a signal"}: ${reason}`, {
    field: "body",
    detail: "It is damaged, or too large. Send its text instead.",
  });

function createSlots(count: number) {
  let free = count;
  const waiting: (() => void)[] = [];
  return {
    async take(): Promise<void> {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
    },
    give(): void {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    },
  };
}
