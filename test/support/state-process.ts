// A process of its own on an embedded state directory, for tests of several processes and of crashes:
//   state-process.ts <directory> contend <keys>   creates each key once and counts one counter up; prints the keys it won
//   state-process.ts <directory> write <run>      writes objects and sends messages until it is killed; prints each
//                                                 name that was acknowledged
import { writeSync } from "node:fs";
import { openEmbedded } from "./embedded-state.ts";
import { seal } from "./sealed.ts";

const [directory = "", mode, argument = ""] = process.argv.slice(2);
const { objects, queue, close } = await openEmbedded(directory);
const print = (line: string) => writeSync(1, `${line}\n`);

async function countUp(): Promise<void> {
  for (;;) {
    const current = await objects.get("counter");
    if (current === null) throw new Error("no counter");
    const next = Buffer.from(String(Number(Buffer.from(current.body).toString()) + 1));
    if ((await objects.compareAndSwap("counter", current.etag, next)) !== null) return;
  }
}

async function contend(keys: number): Promise<void> {
  for (let i = 0; i < keys; i++) {
    const etag = await objects.putIfAbsent(`keys/${i}`, Buffer.from(String(process.pid)));
    if (etag !== null) print(`keys/${i}`);
    await countUp();
  }
  await close();
}

async function write(writer: number): Promise<void> {
  for (let i = 0; ; i++) {
    const name = `${argument}-${writer}-${i}`;
    await objects.put(`objects/${name}`, seal(name, i % 4 === 0 ? 150_000 : 300));
    print(`object ${name}`);
    await objects.put(`replaced/${writer}`, seal(name, i % 3 === 0 ? 100_000 : 100));
    await queue.send({ body: name });
    print(`message ${name}`);
  }
}

if (mode === "contend") await contend(Number(argument));
else await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(write));
