// The second door of this package, for the fuzzer in `conformance/`: its routes without their server, and the parts that
// they are made of. The package does not export it.
export type { Call, Reply } from './call.ts'
export type { Engine, Session, SessionTensor } from './engine.ts'
export { Failure } from './failure.ts'
export { loadModel, type Model } from './model.ts'
export { v1Routes } from './v1.ts'
export { v2Routes } from './v2.ts'
