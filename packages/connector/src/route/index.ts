// The front of the route room.
export { findOperation, ModelTable } from './model-table.ts'
export { derivedTarget, requestedTarget } from './reply-target.ts'
