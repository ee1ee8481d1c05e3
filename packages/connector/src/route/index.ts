// Route: topic to model and operation, and where the answer may go.
export { firstOf } from './first-of.ts'
export { withoutLoops } from './loop-guard.ts'
export { findOperation, ModelTable } from './model-table.ts'
export { derivedTarget, requestedTarget } from './reply-target.ts'
export { StandardRouter } from './standard-router.ts'
