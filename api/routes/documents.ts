import { createRouter } from "../http/router.ts";
import { createDocumentRoute } from "./documents/create-document.ts";
import type { DocumentDeps } from "./documents/document-deps.ts";
import { listDocumentsRoute } from "./documents/list-documents.ts";
import { readDocumentRoutes } from "./documents/read-document.ts";
import { uploadRoutes } from "./documents/uploads.ts";

export const documentRoutes = (deps: DocumentDeps) =>
  createRouter()
    .route("/", createDocumentRoute(deps))
    .route("/", listDocumentsRoute(deps))
    .route("/", readDocumentRoutes(deps))
    .route("/", uploadRoutes(deps));
