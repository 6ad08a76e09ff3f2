import { mkdir, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";

/** What a model said to one prompt. */
const Answer = z.object({
  job: z.string(),
  answer: z.string(),
  finish_reason: z.string(),
  prompt_tokens: z.int(),
  cached_tokens: z.int(),
  completion_tokens: z.int(),
});
export type Answer = z.infer<typeof Answer>;

const Entry = z.discriminatedUnion("type", [
  z.object({ type: z.literal("begun"), id: z.string() }),
  z.object({ type: z.literal("answered"), key: z.string(), answer: Answer }),
  z.object({ type: z.literal("failed"), key: z.string() }),
]);
type Entry = z.infer<typeof Entry>;

export type Journal = {
  /** Of all runs on this output together. */
  id: string;
  answer(key: string): Answer | undefined;
  /** Jobs of this key that ended without an answer. */
  failures(key: string): number;
  /** Both are on disk before they resolve. */
  answered(key: string, answer: Answer): Promise<void>;
  failed(key: string): Promise<void>;
  close(): Promise<void>;
};

/** What has been done already, a line of JSON each; only ever added to, so a run that is killed loses nothing of it. */
export async function openJournal(path: string, newId: () => string): Promise<Journal> {
  await mkdir(dirname(path), { recursive: true });
  const answers = new Map<string, Answer>();
  const failures = new Map<string, number>();
  let id: string | null = null;
  const known = await readFile(path, "utf8").catch(() => "");
  for (const entry of known.split("\n").flatMap(parseEntry)) {
    if (entry.type === "begun") id ??= entry.id;
    else take(entry);
  }

  function take(entry: Exclude<Entry, { type: "begun" }>) {
    if (entry.type === "answered") answers.set(entry.key, entry.answer);
    else failures.set(entry.key, (failures.get(entry.key) ?? 0) + 1);
  }

  const file = await open(path, "a");
  async function add(entry: Entry) {
    await file.appendFile(`${JSON.stringify(entry)}\n`);
    await file.datasync();
  }
  // A line that was torn is ended, so that the next one is whole.
  if (known !== "" && !known.endsWith("\n")) await file.appendFile("\n");
  if (id === null) {
    id = newId();
    await add({ type: "begun", id });
  }

  return {
    id,
    answer: (key) => answers.get(key),
    failures: (key) => failures.get(key) ?? 0,
    async answered(key, answer) {
      take({ type: "answered", key, answer });
      await add({ type: "answered", key, answer });
    },
    async failed(key) {
      take({ type: "failed", key });
      await add({ type: "failed", key });
    },
    close: () => file.close(),
  };
}

/** Nothing for a line that a crash has torn. */
function parseEntry(line: string): Entry[] {
  if (line === "") return [];
  try {
    return [Entry.parse(JSON.parse(line))];
  } catch {
    return [];
  }
}
