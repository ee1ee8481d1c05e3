// A limit for the fuzzer in `conformance/` only. The package does not export this file.
export { JSON_DEPTH_MAX } from './body/json.ts'
