import { readFile } from "node:fs/promises";

/** A fenced block of the README's guide: shell commands, or a TypeScript file. */
export type GuideBlock = { language: string; code: string };

/** The blocks of the README's guide by the bold word that they come under, in order. */
export async function readGuide(): Promise<Map<string, GuideBlock[]>> {
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  const guide = /^## Guide\n(.*?)^## /ms.exec(readme)?.[1] ?? "";
  const parts = guide.split(/^\*\*(\w+)\.\*\*/m);
  const named = new Map<string, GuideBlock[]>();
  for (let index = 1; index < parts.length; index += 2) {
    const blocks = [...(parts[index + 1] ?? "").matchAll(/^```(\w+)\n(.*?)^```/gms)];
    named.set(
      parts[index] ?? "",
      blocks.map(([, language = "", code = ""]) => ({ language, code })),
    );
  }
  return named;
}

/** The commands of a shell block, each on one line. */
export const commandsOf = ({ code }: GuideBlock): string[] => {
  const commands: string[] = [];
  for (const line of code.trimEnd().split("\n")) {
    if (/^[A-Za-z]/.test(line)) commands.push(line);
    else commands.push(`${commands.pop()}\n${line}`);
  }
  return commands;
};
