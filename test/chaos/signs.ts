/** What the log lines of the processes say that faults came about. */
const SIGNS = {
  clock_jumps: /clock jumped/,
  disk_full_errors: /disk is full|ENOSPC|storage_full/,
  /** A worker found that another had taken its job. */
  leases_lost: /"msg":"lease lost, run stopped"/,
  /** A job begun again after its worker died or lost it. */
  second_attempts: /"attempt":[2-9].*"msg":"job claimed"/,
  /** Two messages of one job met, in a worker or in two. */
  repeated_messages: /"msg":"message of a job that is over deleted"|"reason":"terminal"/,
  webhooks_refused: /"error":"not_accepted"/,
} as const;

export type Signs = Record<keyof typeof SIGNS, number>;

export function createSigns() {
  const counts = Object.fromEntries(Object.keys(SIGNS).map((sign) => [sign, 0])) as Signs;
  return {
    counts,
    read(line: string): void {
      for (const [sign, pattern] of Object.entries(SIGNS)) if (pattern.test(line)) counts[sign as keyof Signs]++;
    },
  };
}
