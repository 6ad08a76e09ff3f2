import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { BUILD, say } from "./step.mjs";

const LOCK = `${BUILD}/setup.lock`;

/** Runs `work` while no other set-up of this checkout runs. A lock whose process is gone is taken over. */
export async function withSetupLock(work) {
  mkdirSync(BUILD, { recursive: true });
  await acquire();
  const release = () => rmSync(LOCK, { force: true });
  process.once("exit", release);
  try {
    return await work();
  } finally {
    process.off("exit", release);
    release();
  }
}

async function acquire() {
  for (let waiting = false; !tryCreate(); waiting = true) {
    const holder = readHolder();
    if (holder !== null && !isAlive(holder)) {
      rmSync(LOCK, { force: true });
      continue;
    }
    if (!waiting) say(`another set-up is running (process ${holder ?? "unknown"}); waiting for it (${LOCK})`);
    await sleep(200);
  }
}

function tryCreate() {
  try {
    writeFileSync(LOCK, `${process.pid}\n`, { flag: "wx" });
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  }
}

/** null while the holder has created the file and not yet written its number. */
function readHolder() {
  try {
    return Number.parseInt(readFileSync(LOCK, "utf8"), 10) || null;
  } catch {
    return null;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}
