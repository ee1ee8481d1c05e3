// Decides whether a request may run, and when its turn comes.
export { Admission } from './admission.ts'
export type { AdmittedRequest } from './admitted-request.ts'
export { ByteBudget } from './byte-budget.ts'
export { Clients } from './clients.ts'
export { clientBudgetMs, RequestDeadline } from './deadline.ts'
export { ModelGate } from './model-gate.ts'
export { judgePayload } from './payload.ts'
export { Policy } from './policy.ts'
