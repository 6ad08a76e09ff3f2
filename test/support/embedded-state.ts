import { randomUUID } from "node:crypto";
import { openDatabase } from "../../api/state/embedded/database.ts";
import { createFileObjectStore } from "../../api/state/embedded/file-object-store.ts";
import { createObjectUrls, urlSecret } from "../../api/state/embedded/object-urls.ts";
import { createSqliteJobQueue } from "../../api/state/embedded/sqlite-job-queue.ts";

/** The embedded state in `directory`, with the clock `now`. */
export async function openEmbedded(directory: string, now: () => number = Date.now) {
  const database = await openDatabase(directory);
  const urls = createObjectUrls(await urlSecret(database), now);
  const objects = await createFileObjectStore({ database, urls, now, newId: randomUUID });
  const queue = createSqliteJobQueue({ database, name: "jobs", now, maxReceives: 3 });
  return {
    database,
    urls,
    objects,
    queue,
    close: async () => {
      await queue.close();
      await objects.close();
      await database.close();
    },
  };
}
