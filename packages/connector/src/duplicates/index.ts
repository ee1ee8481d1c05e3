// Duplicates: what runs or was answered, so that a repetition is not executed again.
export { isProblem } from './answer-memory.ts'
export { duplicateKey, isNamed } from './duplicate-key.ts'
export { Duplicates, type DuplicateLimits } from './duplicates.ts'
export { Execution, type Requester } from './execution.ts'
