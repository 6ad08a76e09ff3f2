import { createRoute, z } from "@hono/zod-openapi";
import { createRouter, problemResponses } from "../http/router.ts";
import { checkModelIsServed, type ServedModel } from "../served-model.ts";

const Model = z
  .object({
    object: z.literal("model"),
    id: z.string(),
    created: z.int(),
    owned_by: z.string(),
    context_tokens: z.int().meta({ description: "Prompt and answer together." }),
  })
  .meta({ id: "Model" });

const ModelList = z.object({ object: z.literal("list"), data: z.array(Model) }).meta({ id: "ModelList" });

const listModels = createRoute({
  method: "get",
  path: "/v1/models",
  summary: "What a job's `model` may be",
  responses: {
    200: { description: "The models served.", content: { "application/json": { schema: ModelList } } },
    ...problemResponses(),
  },
});

const getModel = createRoute({
  method: "get",
  path: "/v1/models/{id}",
  summary: "A model that is served",
  request: { params: z.object({ id: z.string() }) },
  responses: {
    200: { description: "The model.", content: { "application/json": { schema: Model } } },
    ...problemResponses(404),
  },
});

export const modelRoutes = (model: ServedModel) => {
  const described = {
    object: "model" as const,
    id: model.id,
    created: Math.floor(model.createdMs / 1000),
    owned_by: "gnomon",
    context_tokens: model.maxPositions,
  };
  return createRouter()
    .openapi(listModels, (c) => c.json({ object: "list" as const, data: [described] }, 200))
    .openapi(getModel, (c) => {
      checkModelIsServed(model, c.req.valid("param").id);
      return c.json(described, 200);
    });
};
