import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { ScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";
import { TriggerAuthentication } from "@kubernetes-models/keda/keda.sh/v1alpha1/TriggerAuthentication";
import { Deployment } from "kubernetes-models/apps/v1/Deployment";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget";
import { Service } from "kubernetes-models/v1/Service";
import { ServiceAccount } from "kubernetes-models/v1/ServiceAccount";
import { beforeAll, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { ApiEnv, parseEnv, WebhooksEnv, WorkerEnv } from "../../../api/contract/env.ts";
import { scalingDefaults } from "../../../infra/scaling/policy.ts";

const HELM = fileURLToPath(new URL("../../../.build/helm/helm/helm", import.meta.url));
const CHART = fileURLToPath(new URL("../../../infra/kubernetes/gnomon", import.meta.url));
const MODELS = { ScaledObject, TriggerAuthentication, Deployment, PodDisruptionBudget, Service, ServiceAccount };
const NEEDED = [
  "state.bucket=archive",
  "state.queueUrl=https://sqs.eu-west-1.amazonaws.com/1/jobs",
  "state.deadLetterQueueUrl=https://sqs.eu-west-1.amazonaws.com/1/dead",
  "state.webhookQueueUrl=https://sqs.eu-west-1.amazonaws.com/1/webhooks",
  "state.region=eu-west-1",
  "api.image=registry/api:1",
  "worker.image=registry/worker:1",
];

type Rendered = { kind: string; metadata: { name: string }; spec: any };

async function render(values: string[]): Promise<Rendered[]> {
  const args = ["template", "gnomon", CHART, ...values.flatMap((value) => ["--set", value])];
  const { stdout } = await promisify(execFile)(HELM, args);
  return parseAllDocuments(stdout).map((document) => document.toJS());
}

describe.skipIf(!existsSync(HELM))("the Helm chart", () => {
  let objects: Rendered[];
  beforeAll(async () => {
    objects = await render(NEEDED);
  });
  const find = (kind: string, name: string) =>
    objects.find((object) => object.kind === kind && object.metadata.name === name) as Rendered;
  const pod = (component: string) => find("Deployment", `gnomon-${component}`).spec.template.spec;

  it("renders objects that their schemas accept, and no others", () => {
    expect(objects.map(({ kind }) => kind).sort()).toEqual([
      "Deployment",
      "Deployment",
      "Deployment",
      "PodDisruptionBudget",
      "PodDisruptionBudget",
      "ScaledObject",
      "Service",
      "ServiceAccount",
      "ServiceAccount",
      "ServiceAccount",
      "TriggerAuthentication",
      "TriggerAuthentication",
    ]);
    for (const object of objects) new MODELS[object.kind as keyof typeof MODELS](object as never).validate();
  });

  it.each([
    ["api", ApiEnv],
    ["worker", WorkerEnv],
    ["webhooks", WebhooksEnv],
  ] as const)("gives the %s an environment that it accepts, with no variable it does not know", (component, schema) => {
    const list: { name: string; value: string }[] = pod(component).containers[0].env;
    const env = Object.fromEntries(list.map(({ name, value }) => [name, value]));
    expect(parseEnv(schema, env)).toMatchObject({ GNOMON_STATE: "aws", GNOMON_BUCKET: "archive" });
    expect(Object.keys(schema.shape)).toEqual(expect.arrayContaining(Object.keys(env)));
  });

  it("runs every container as nobody, on a root file system it cannot write, without capabilities", () => {
    for (const component of ["api", "worker", "webhooks"]) {
      expect(pod(component).securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 10001 });
      expect(pod(component).containers[0].securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
    }
  });

  it("scales workers from zero by GPU-seconds, and leaves Karpenter no running one to move", () => {
    const { spec } = find("ScaledObject", "gnomon-worker");
    expect(spec).toMatchObject({ minReplicaCount: 0, scaleTargetRef: { name: "gnomon-worker" } });
    expect(spec.triggers[0]).toMatchObject({
      type: "metrics-api",
      metadata: { valueLocation: "backlog_gpu_seconds", targetValue: String(scalingDefaults.targetSeconds) },
    });
    const worker = find("Deployment", "gnomon-worker").spec;
    expect(worker.replicas).toBeUndefined();
    expect(worker.template.metadata.annotations).toEqual({ "karpenter.sh/do-not-disrupt": "true" });
    expect(worker.template.spec.containers[0].resources.limits["nvidia.com/gpu"]).toBe(1);
  });

  it.each(["worker", "webhooks"])(
    "has the %s restarted when it no longer writes the file that is looked at",
    (component) => {
      const [{ env, livenessProbe, volumeMounts }] = pod(component).containers;
      expect(livenessProbe.exec.command).toEqual(["/usr/local/bin/node", "/app/health.mjs"]);
      expect(env).toContainEqual({ name: "GNOMON_LIVENESS_FILE", value: "/tmp/alive" });
      expect(volumeMounts).toContainEqual({ name: "tmp", mountPath: "/tmp" });
    },
  );

  it("leaves a worker longer to stop than its jobs may go on", () => {
    const { terminationGracePeriodSeconds, containers } = pod("worker");
    const grace = containers[0].env.find(({ name }: { name: string }) => name === "GNOMON_GRACE_SECONDS");
    expect(terminationGracePeriodSeconds).toBeGreaterThan(Number(grace.value));
  });

  it("passes helm lint, its warnings too", async () => {
    const args = ["lint", "--strict", CHART, ...NEEDED.flatMap((value) => ["--set", value])];
    const { stdout } = await promisify(execFile)(HELM, args);
    expect(stdout).toContain("1 chart(s) linted, 0 chart(s) failed");
  });

  it("selects by each disruption budget the pods of one component, and lets one of them go at a time", () => {
    for (const component of ["api", "worker"]) {
      const { maxUnavailable, selector } = find("PodDisruptionBudget", `gnomon-${component}`).spec;
      expect(maxUnavailable).toBe(1);
      const { labels } = find("Deployment", `gnomon-${component}`).spec.template.metadata;
      expect(labels).toMatchObject(selector.matchLabels);
      expect(selector.matchLabels).toMatchObject({ "app.kubernetes.io/component": component });
    }
  });

  it("lets pods stop for longer than their processes take, whatever grace is chosen", async () => {
    const chosen = await render([...NEEDED, "worker.graceSeconds=3600"]);
    const spec = chosen.find(({ metadata, kind }) => kind === "Deployment" && metadata.name === "gnomon-worker")?.spec;
    expect(spec.template.spec.terminationGracePeriodSeconds).toBe(3_630);
    expect(spec.template.spec.containers[0].env).toContainEqual({ name: "GNOMON_GRACE_SECONDS", value: "3600" });
  });

  it.each([
    ["a name that it does not know", "worker.gracePeriod=5", "gracePeriod"],
    ["no workers at all", "scaling.maxWorkers=0", "maxWorkers"],
    ["a queue that is no URL", "state.queueUrl=jobs", "queueUrl"],
    ["a role that is none", "roleArns.worker=admin", "worker"],
    ["a variable that no process could have", "worker.env.gnomon-rank=5", "env"],
  ])("refuses %s", async (_, value, named) => {
    await expect(render([...NEEDED, value])).rejects.toThrow(named);
  });

  it("says which value is missing", async () => {
    await expect(render(NEEDED.slice(1))).rejects.toThrow("state.bucket: the bucket of the state");
  });
});
