// The second door of this package, for the fuzzer in `conformance/`: bounds and tables that no application needs. The
// package does not export it.
export { JSON_DEPTH_MAX } from './body/json.ts'
export { TYPED_ARRAYS } from './body/tensor.ts'
