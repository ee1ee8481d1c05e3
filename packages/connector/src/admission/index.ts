// The front of the admission room.
export { ByteBudget } from './byte-budget.ts'
export { budgetMs, RequestDeadline } from './deadline.ts'
export { ModelGate } from './model-gate.ts'
export { judgePayload } from './payload.ts'
export { Policy } from './policy.ts'
