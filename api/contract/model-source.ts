/** Where a model's files are: a folder, or a prefix in S3 from which a process takes them when it starts. */
export type ModelSource = { kind: "folder"; folder: string } | { kind: "s3"; bucket: string; prefix: string };

const S3 = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*?))?\/*$/;

/** Null where it begins with s3:// and goes on with no bucket. */
export function parseModelSource(text: string): ModelSource | null {
  if (!text.startsWith("s3://")) return { kind: "folder", folder: text };
  const [, bucket, path = ""] = S3.exec(text) ?? [];
  if (bucket === undefined) return null;
  return { kind: "s3", bucket, prefix: path === "" ? "" : `${path}/` };
}

/** What a process reads of a model: an api its tokenizer, a worker its weights as well. */
export type ModelPart = "tokenizer" | "all";

/** Of a file directly in the model's directory. Checkpoints carry copies in other formats, which nothing here reads. */
export function isModelFile(name: string, part: ModelPart): boolean {
  if (part === "all") return /\.(json|model|jinja|safetensors)$/.test(name);
  return /\.(json|model|jinja)$/.test(name) && !name.endsWith(".index.json");
}
