import { randomUUID } from "node:crypto";
import { CreateBucketCommand } from "@aws-sdk/client-s3";
import { CreateQueueCommand } from "@aws-sdk/client-sqs";
import { expect, test } from "vitest";
import { parseEnv, StateEnv } from "../../../api/contract/env.ts";
import { createS3Client, createSqsClient } from "../../../api/state/aws/clients.ts";
import { openState } from "../../../api/state/open-state.ts";
import { motoMissing, startMoto } from "../../support/moto.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const deps = { now: Date.now, newId: randomUUID };

test("the embedded state opens in its directory, which several may share", async () => {
  await using directory = await temporaryDirectory();
  const env = parseEnv(StateEnv, { GNOMON_STATE_DIR: `${directory.path}/made/on/the/way` });
  const [api, worker] = [await openState(env, deps), await openState(env, deps)];
  await api.objects.put("a", Buffer.from("shared"));
  expect((await worker.objects.get("a"))?.body.length).toBe(6);
  await api.queue.send({ body: "m" });
  expect(await worker.queue.receive({ max: 1, waitMs: 0, visibilityMs: 1_000 })).toHaveLength(1);
  expect(api.urls).not.toBeNull();
  await api.close();
  await worker.close();
});

test("a directory that cannot be made is unavailable", async () => {
  const env = parseEnv(StateEnv, { GNOMON_STATE_DIR: "/dev/null/state" });
  await expect(openState(env, deps)).rejects.toMatchObject({ code: "unavailable" });
});

const moto = motoMissing === null ? "" : `: ${motoMissing}`;
test.skipIf(motoMissing !== null)(
  `the AWS state opens on its endpoints, and not without its bucket${moto}`,
  async () => {
    const { endpoint, stop } = await startMoto();
    const [s3, sqs] = [
      createS3Client({ region: "eu-west-1", endpoint }),
      createSqsClient({ region: "eu-west-1", endpoint }),
    ];
    const [queue, dead, webhooks] = await Promise.all(
      ["q", "dead", "webhooks"].map((QueueName) => sqs.send(new CreateQueueCommand({ QueueName }))),
    );
    const env = parseEnv(StateEnv, {
      GNOMON_STATE: "aws",
      GNOMON_BUCKET: "gnomon-state",
      GNOMON_QUEUE_URL: queue?.QueueUrl,
      GNOMON_DEAD_LETTER_QUEUE_URL: dead?.QueueUrl,
      GNOMON_WEBHOOK_QUEUE_URL: webhooks?.QueueUrl,
      GNOMON_S3_ENDPOINT: endpoint,
      GNOMON_SQS_ENDPOINT: endpoint,
      AWS_REGION: "eu-west-1",
    });
    await expect(openState(env, deps)).rejects.toMatchObject({ code: "unavailable" });
    const CreateBucketConfiguration = { LocationConstraint: "eu-west-1" } as const;
    await s3.send(new CreateBucketCommand({ Bucket: "gnomon-state", CreateBucketConfiguration }));
    const state = await openState(env, deps);
    await state.queue.send({ body: "m" });
    expect(await state.queue.receive({ max: 1, waitMs: 1_000, visibilityMs: 1_000 })).toHaveLength(1);
    expect(state.urls).toBeNull();
    await state.close();
    s3.destroy();
    sqs.destroy();
    await stop();
  },
  30_000,
);
