// A small model server: KServe's V1 and V2 protocols for ONNX files, and OpenAI's API for language models.
export { bundledModels, type BundledModel } from './bundled-models.ts'
export type { ChatMessage, Generation, LanguageModel, Piece, Sampling } from './language/language-model.ts'
export { toyModel } from './language/toy-model.ts'
export { ModelServerError, type ModelServerErrorCode } from './model-server-error.ts'
export { startModelServer, type ModelServer, type ModelServerOptions } from './model-server.ts'
export type { ModelSource } from './model.ts'
