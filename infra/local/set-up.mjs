import { helm } from "./helm.mjs";
import { buildRelease, buildSanitized } from "./native-build.mjs";
import { nodePackages } from "./node-packages.mjs";
import { CONTRACT, pythonPackages } from "./python-packages.mjs";
import { withSetupLock } from "./setup-lock.mjs";
import { systemPackages } from "./system-packages.mjs";

/**
 * Brings the checkout up to date with its sources. Each step looks first and does nothing if there
 * is nothing to do. Returns the path of the Node to run the project with.
 */
export function setUp({ native = true, tests = false, python = false, contract = false } = {}) {
  return withSetupLock(async () => {
    await systemPackages({ native, python: python || contract });
    const node = await nodePackages();
    if (native) await buildRelease({ tests });
    if (tests) await buildSanitized();
    if (python) await pythonPackages();
    if (tests) await helm();
    if (contract) await pythonPackages(CONTRACT);
    return node;
  });
}
