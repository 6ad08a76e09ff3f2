import { createRoute, z } from "@hono/zod-openapi";
import { createRouter, problemResponses } from "../router.ts";
import type { ServedModel } from "../served-model.ts";

const ModelList = z
  .object({
    object: z.literal("list"),
    data: z.array(
      z.object({
        object: z.literal("model"),
        id: z.string(),
        context_tokens: z.int().meta({ description: "Prompt and answer together." }),
      }),
    ),
  })
  .meta({ id: "ModelList" });

const listModels = createRoute({
  method: "get",
  path: "/v1/models",
  summary: "What a job's `model` may be",
  responses: {
    200: { description: "The models served.", content: { "application/json": { schema: ModelList } } },
    ...problemResponses(),
  },
});

export const modelRoutes = (model: ServedModel) =>
  createRouter().openapi(listModels, (c) =>
    c.json(
      {
        object: "list" as const,
        data: [{ object: "model" as const, id: model.id, context_tokens: model.maxPositions }],
      },
      200,
    ),
  );
