// Exports the routes, without the HTTP server, and the parts of the routes, only for the fuzzer in `conformance/`.
// The package does not export this file.
export type { Call, Reply } from './call.ts'
export type { Engine, Session, SessionTensor } from './engine.ts'
export { Failure } from './failure.ts'
export { Generations } from './language/generations.ts'
export type { Generation, LanguageModel, Sampling } from './language/language-model.ts'
export { toyModel } from './language/toy-model.ts'
export { loadModel, type Model } from './model.ts'
export { openAiRoutes } from './openai/openai.ts'
export { v1Routes } from './v1.ts'
export { v2Routes } from './v2.ts'
