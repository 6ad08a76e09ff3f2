import { readdir } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { documentTypeOf } from "../document-type.ts";

/** Paths below the folder, with slashes, of everything that can be summarised. Hidden ones and links are left out. */
export async function findDocuments(folder: string, leaveOut: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    const parts = relative(folder, path).split(sep);
    const isHidden = parts.some((part) => part.startsWith("."));
    const isOurs = path === leaveOut || path.startsWith(leaveOut + sep);
    if (entry.isFile() && !isHidden && !isOurs && documentTypeOf(path) !== undefined) found.push(parts.join("/"));
  }
  return found.toSorted();
}
