// Step 1 of an image: collects what runs. `node infra/local/with-setup.mjs stage api OUT [MODEL]`
import { chmod, cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { stageApp } from "./stage-app.ts";

const [image, out, model = "native/models/needle"] = process.argv.slice(2);
if ((image !== "api" && image !== "worker") || out === undefined) {
  console.error("usage: stage.ts api|worker OUT [MODEL]");
  process.exit(1);
}
await stageApp({ folder: join(out, "app"), model, engine: image === "worker" });
await mkdir(join(out, "bin"), { recursive: true });
// The Node that package-lock.json pins, which is the one that runs us.
await cp(process.execPath, join(out, "bin/node"), { dereference: true });
await chmod(join(out, "bin/node"), 0o755);
