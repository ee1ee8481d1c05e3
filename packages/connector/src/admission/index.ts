// The front of the admission room.
export { ByteBudget } from './byte-budget.ts'
export { Clients, RunningRequest, type ClientBounds } from './clients.ts'
export { budgetMs, RequestDeadline } from './deadline.ts'
export { ModelGate } from './model-gate.ts'
export { judgePayload, type JudgedBody } from './payload.ts'
export { Policy } from './policy.ts'
