// The front of the endpoint room.
export type { HttpUpstream } from './http-endpoint.ts'
export { probeModel, type ModelFacts } from './probe.ts'
export { openPool } from './upstream.ts'
export { v1Endpoints } from './v1-http.ts'
export { v2Endpoints } from './v2-http.ts'
