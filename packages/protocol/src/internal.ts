// Limits and tables for the fuzzer in `conformance/` only. The package does not export this file.
export { JSON_DEPTH_MAX } from './body/json.ts'
export { TYPED_ARRAYS } from './body/tensor.ts'
