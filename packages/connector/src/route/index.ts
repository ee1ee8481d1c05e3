// Routes a request from its topic to a model and an operation, and decides where its reply may be published.
export { firstOf } from './first-of.ts'
export { withoutLoops } from './loop-guard.ts'
export { findOperation, ModelTable } from './model-table.ts'
export { derivedTarget, requestedTarget } from './reply-target.ts'
export { StandardRouter } from './standard-router.ts'
