// A small model server for ONNX files, with KServe's V1 and V2 REST protocols.
export { bundledModels, type BundledModel } from './bundled-models.ts'
export { ModelServerError, type ModelServerErrorCode } from './model-server-error.ts'
export { startModelServer, type ModelServer, type ModelServerOptions } from './model-server.ts'
export type { ModelSource } from './model.ts'
