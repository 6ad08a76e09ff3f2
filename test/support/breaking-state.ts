import { AppError } from "../../api/contract/errors.ts";
import type { JobQueue } from "../../api/state/job-queue.ts";
import type { ObjectStore } from "../../api/state/object-store.ts";
import { putStepsInTurn } from "../../api/state/put-steps.ts";

/** When the n-th call breaks: before it has any effect, or after it took effect, so that only the answer is lost. */
export type Break = { call: number; effect: "none" | "done" };

/** The two ports over real ones; from the call `at.call` (1 is the first) on every call fails, as for a process cut off. */
export function breakingState(objects: ObjectStore, queue: JobQueue, at: Break) {
  let calls = 0;
  const breaking = <P extends object>(port: P): P =>
    new Proxy(port, {
      get(target, name, receiver) {
        const member = Reflect.get(target, name, receiver);
        if (typeof member !== "function") return member;
        // Put by put, as a store that has no transactions makes them.
        if (name === "putSteps") {
          const { put, putIfAbsent } = receiver as ObjectStore;
          return (...[steps, check]: Parameters<ObjectStore["putSteps"]>) =>
            putStepsInTurn({ put, putIfAbsent }, steps, check);
        }
        return async (...args: unknown[]) => {
          calls++;
          if (calls === at.call && at.effect === "done") await member.apply(target, args);
          if (calls >= at.call) throw new AppError("unavailable", `call ${calls} broke: ${String(name)}`);
          return member.apply(target, args);
        };
      },
    });
  return { objects: breaking(objects), queue: breaking(queue), calls: () => calls };
}
