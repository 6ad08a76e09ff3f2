import { type Client, createClient } from "../client.ts";
import { UsageError } from "./errors.ts";
import { createProgress, type Progress, silentProgress } from "./progress.ts";
import { createServiceFetch } from "./service-fetch.ts";
import type { Terminal } from "./terminal.ts";

/** What every command works with. */
export type Context = {
  client: Client;
  url: string;
  terminal: Terminal;
  progress: Progress;
  json: boolean;
  now: () => number;
  /** To the reader, unless --quiet or --json. */
  note(line: string): void;
};

/** What every command takes. */
export type CommonOptions = { url?: string | undefined; json?: boolean | undefined; quiet?: boolean | undefined };

export type Environment = { GNOMON_URL?: string | undefined; GNOMON_API_KEY?: string | undefined };

const LOCAL_URL = "http://localhost:8080";

export type ContextDeps = { env: Environment; terminal: Terminal; fetch: typeof fetch; now: () => number };

export function createContext(options: CommonOptions, { env, terminal, fetch, now }: ContextDeps): Context {
  const url = parseUrl(options.url ?? (env.GNOMON_URL || LOCAL_URL));
  const json = options.json ?? false;
  const isQuiet = options.quiet ?? false;
  // Where a program reads both streams, bars would be in its way.
  const isSilent = isQuiet || (json && terminal.err.isTTY !== true);
  const progress = isSilent ? silentProgress : createProgress(terminal.err);
  const say = (line: string) => {
    if (isSilent) return;
    // Bars are drawn over what stands above them: they begin anew below the line.
    if (terminal.err.isTTY === true) progress.stop();
    terminal.say(line);
  };
  return {
    client: createClient(url, {
      apiKey: parseApiKey(env.GNOMON_API_KEY),
      fetch: createServiceFetch({ url, say, fetch, now }),
      // That is the fetch's own.
      maxRetries: 0,
    }),
    url,
    terminal,
    progress,
    json,
    now,
    note: say,
  };
}

/** One that no header can carry would be quoted in whatever error comes of it. */
function parseApiKey(key: string | undefined): string | undefined {
  if (key && !/^[\x21-\x7e]+$/.test(key)) {
    throw new UsageError("GNOMON_API_KEY is no API key: it has characters that none has.");
  }
  return key || undefined;
}

function parseUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`"${text}" is no address of a service: give one like ${LOCAL_URL}.`);
  }
  return url.href.replace(/\/+$/, "");
}
