import { z } from "zod";

const Rope = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  factor: z.number().nullish(),
  original_max_position_embeddings: z.number().nullish(),
});
/** The part of a config.json that says how long a sequence may be; ChatGLM calls it seq_length. */
export const PositionsConfig = z
  .looseObject({
    max_position_embeddings: z.int().positive().optional(),
    seq_length: z.int().positive().optional(),
    rope_parameters: Rope.nullish(),
    rope_scaling: Rope.nullish(),
  })
  .refine((config) => (config.max_position_embeddings ?? config.seq_length) !== undefined, {
    path: ["max_position_embeddings"],
    message: "is missing",
  });

/** Prompt and new tokens the model has positions for, as the engine counts them (native/engine/rope_config.cpp). */
export function maxPositions(config: z.output<typeof PositionsConfig>): number {
  const positions = config.max_position_embeddings ?? config.seq_length ?? 0;
  const rope = config.rope_parameters ?? config.rope_scaling;
  if ((rope?.rope_type ?? rope?.type) !== "yarn") return positions;
  // Qwen2's files keep the length it was trained with, and let the factor of YaRN extend it.
  return Math.max(positions, Math.trunc((rope?.original_max_position_embeddings ?? positions) * (rope?.factor ?? 1)));
}
