/** The knobs of the scaling policy; the CDK app deploys them and the simulator replays them. */
export type ScalingPolicy = {
  /** Work that one worker may have waiting, in GPU-seconds. */
  targetSeconds: number;
  maxWorkers: number;
  firstWorkerCooldownSeconds: number;
  scaleOutCooldownSeconds: number;
  scaleInCooldownSeconds: number;
  /** Workers on On-Demand instances before any on Spot. */
  onDemandBase: number;
  /** Above the base: so many on Spot for each On-Demand. */
  spotWeight: number;
};

/** Chosen by the simulator: see infra/README.md. */
export const scalingDefaults = {
  targetSeconds: 600,
  firstWorkerCooldownSeconds: 300,
  scaleOutCooldownSeconds: 60,
  scaleInCooldownSeconds: 300,
  onDemandBase: 1,
  spotWeight: 4,
} as const;

/** Target tracking's own patience, in minutes of the metric: not ours to choose. */
const OUT_MINUTES = 3;
const IN_MINUTES = 15;
const IN_FRACTION = 0.9;

/** AWS's two policies as documented: a step from zero, and tracking of the backlog that each running worker has. */
export function createScaler(policy: ScalingPolicy) {
  let desired = 0;
  let changedSeconds = Number.NEGATIVE_INFINITY;
  const perWorker: number[] = [];

  function set(wanted: number, atSeconds: number): void {
    const next = Math.min(policy.maxWorkers, Math.max(0, wanted));
    if (next !== desired) changedSeconds = atSeconds;
    desired = next;
  }

  return {
    /** Once a minute, with what the metrics say. Returns the workers to have. */
    step({
      atSeconds,
      backlogSeconds,
      running,
    }: {
      atSeconds: number;
      backlogSeconds: number;
      running: number;
    }): number {
      perWorker.push(backlogSeconds / Math.max(1, running));
      const recent = (minutes: number) => (perWorker.length < minutes ? [] : perWorker.slice(-minutes));
      const waited = (seconds: number) => atSeconds - changedSeconds >= seconds;
      if (desired === 0) {
        if (backlogSeconds > 0 && waited(policy.firstWorkerCooldownSeconds)) set(1, atSeconds);
        return desired;
      }
      const over = recent(OUT_MINUTES);
      const under = recent(IN_MINUTES);
      const metric = perWorker.at(-1) ?? 0;
      if (over.length > 0 && over.every((value) => value > policy.targetSeconds)) {
        const wanted = Math.ceil((running * metric) / policy.targetSeconds);
        if (wanted > desired && waited(policy.scaleOutCooldownSeconds)) set(wanted, atSeconds);
      } else if (under.length > 0 && under.every((value) => value < IN_FRACTION * policy.targetSeconds)) {
        const wanted = Math.ceil((running * metric) / policy.targetSeconds);
        if (wanted < desired && waited(policy.scaleInCooldownSeconds)) set(wanted, atSeconds);
      }
      return desired;
    },
  };
}
