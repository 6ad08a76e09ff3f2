/** The pauses of the scaling policy, chosen by the simulator: see infra/README.md. */
export const scalingDefaults = {
  firstWorkerCooldownSeconds: 300,
  scaleOutCooldownSeconds: 60,
  scaleInCooldownSeconds: 300,
} as const;
