// Calls model servers, judges their responses, retries failed calls, opens circuits, and queries metadata.
export { Circuit } from './circuit.ts'
export { FactsWatch } from './facts-watch.ts'
export type { HttpTarget } from './http/http-endpoint.ts'
export { HttpUpstream } from './http/http-upstream.ts'
export { openUpstream } from './open-upstream.ts'
export { RetryBudget } from './retry-budget.ts'
export { withBreaker } from './with-breaker.ts'
export { withRetry } from './with-retry.ts'
