/** Every timing and size that two parts must agree on. */
export const limits = {
  /** The lease of a job lasts this long without a heartbeat. */
  leaseMs: 60_000,
  /** So does a received message, and a little longer: it comes back when the job can be claimed, not just before. */
  visibilityMs: 65_000,
  /** Heartbeats leave room for two failures before the lease ends. */
  heartbeatMs: 20_000,
  /** Progress of a running job is written at most this often. */
  progressMs: 2_000,
  /** Attempts of a job before it is failed with attempts_exhausted. */
  maxAttempts: 5,
  /** Deliveries of a message before it is a dead letter. Above maxAttempts, as one that is given back unread counts too. */
  maxReceives: 20,
  /** A worker whose main thread does nothing for so long is killed, for its jobs to go to others. */
  stallMs: 300_000,
  /** A submit that has not stored its job after this begins no further step of it. */
  submitMs: 20_000,
  /** A try of a request to S3 is given up after so long without a byte, */
  s3TryMs: 20_000,
  /** the request after so many tries, */
  s3Tries: 4,
  /** and a conditional write after this, whatever its tries and conflicts: all of the former, and the pauses between. */
  conditionalWriteMs: 90_000,
  /** Clocks of two machines differ by no more than this. */
  clocksApartMs: 60_000,
  /** A job that nobody has begun so long after its message was sent gets another, should that one be lost. */
  resendMs: 12 * 3_600_000,
  /** How often every api and worker process looks at a page of the active jobs for what a crash left undone. */
  sweepMs: 15_000,
  sweepPage: 500,
  /** How often a worker says how fast it is; one that has said nothing for three times this is gone. */
  workerReportMs: 15_000,
  /** A quote can be redeemed for this long. */
  quoteMs: 3_600_000,
  longPollMs: 20_000,
  requestBodyBytes: 16 * 1024 * 1024,
  /** Arrays and objects within each other; members and items together. */
  json: { depth: 32, values: 50_000 },
  /** Of what is wrong with a request so many fields are named, */
  shownIssues: 100,
  /** and so much of the name of each. */
  shownNameCharacters: 128,
  /** A key that another process revoked works no longer than this. */
  apiKeyCacheMs: 5_000,
  /** The last use of a key is written at most this often. */
  apiKeyUseMs: 60_000,
  /** OpenAI's limits of metadata. */
  metadataPairs: 16,
  metadataKeyCharacters: 64,
  metadataValueCharacters: 512,
  listPage: 100,
  /** AWS's HTTP API cuts a request off after this; */
  httpApiMs: 30_000,
  /** behind it, one that waits for a job is answered by then. */
  httpApiWaitMs: 25_000,
  /** How long `Prefer: wait` can hold a request. */
  maxWaitSeconds: 60,
  documentsPerJob: 64,
  messagesPerJob: 1024,
  urlCharacters: 2048,
  /** The end of the year 9999: what lies beyond it is a time in milliseconds, or no time at all. */
  latestSeconds: 253_402_300_799,
  maxTtlSeconds: 14 * 24 * 3600,
  /** A longer text is refused before it is read: at some four bytes a token no model takes a tenth of it. */
  promptBytes: 64 * 1024 * 1024,
  /** A PDF or a page is turned to text within this time and memory, and so many at once in a process. */
  convertMs: 60_000,
  convertMemoryBytes: 1024 * 1024 * 1024,
  convertsAtOnce: 2,
  /** How long a presigned URL works, and how long an upload that was begun is kept. */
  presignSeconds: 3_600,
  uploadMs: 24 * 3_600_000,
  questionsPerJob: 64,
  questionCharacters: 16_384,
  defaultMaxTokens: 256,
  /** Of a chat, whose clients expect an answer to end by itself. */
  defaultChatTokens: 2048,
  stopStrings: 16,
  stopCharacters: 256,
  /** Log-probabilities in one result, those of alternatives included: some 80 bytes each. */
  logprobsPerJob: 65_536,
  /** Between looks at a job that somebody follows. */
  followPollMs: 300,
  /** A worker writes the text of a job for this long after somebody looked for it; */
  watchMs: 60_000,
  /** and at most this often. */
  streamMs: 300,
  /** Comments that keep a quiet event stream open. */
  eventKeepAliveMs: 15_000,
  /** An event stream is ended after this, for its client to come back. */
  eventStreamMs: 10 * 60_000,
  /** Of an event's id: the length of each answer, and a hash. */
  eventIdCharacters: 1024,
  /** OpenAI's limits of a batch and of its input file. */
  batchLines: 50_000,
  batchFileBytes: 200 * 1024 * 1024,
  batchWindowMs: 24 * 3_600_000,
  customIdCharacters: 512,
  /** Errors that a batch shows; it says how many more there are. */
  batchErrors: 100,
  /** Lines of a shard are at least so many, and more in a batch of more shards than so many. */
  shardLines: 32,
  batchShards: 512,
  /** A shard of longer prompts is closed before it has all its lines, so that workers can share them. */
  shardTokens: 524_288,
  /** Lines of one shard that are with the engine at once. */
  shardSequences: 32,
  /** Finished lines are stored, and so can be read, at most so much later. */
  shardFlushMs: 1_000,
  /** As much of the results of a shard is read at once: with many log-probabilities they are hundreds of megabytes. */
  resultPieceBytes: 4 * 1024 * 1024,
  /** Deaths of a worker that had nothing but this line before the line is failed. */
  lineDeaths: 3,
  /** Attempts at a line within one attempt at its shard, where the engine failed it. */
  lineAttempts: 3,
  /** OpenAI's bounds of `expires_after.seconds`; a file with the purpose `batch` has the upper one by default. */
  minFileExpirySeconds: 3_600,
  maxFileExpirySeconds: 2_592_000,
  fileListPage: 10_000,
  filenameCharacters: 512,
  /** SQS delays a message no longer than this: what is due later is sent again in hops. */
  maxDelaySeconds: 900,
  /** A webhook that is not answered by then has failed. */
  webhookTimeoutMs: 15_000,
  /** Longer than a delivery can take, with its reads and writes. */
  webhookVisibilityMs: 60_000,
  /** Deliveries that one sender has under way. */
  webhookConcurrency: 64,
  /** Those of one tenant. */
  webhookConcurrencyPerTenant: 16,
  /** As much of an answer is read, and thrown away. */
  webhookResponseBytes: 64 * 1024,
  /** Attempts that the log of one event keeps. */
  webhookLogAttempts: 50,
  keyOverlapSeconds: 24 * 3600,
  maxKeyOverlapSeconds: 30 * 24 * 3600,
  /** Webhook keys of one tenant that sign at the same time. */
  maxSigningKeys: 5,
} as const;
