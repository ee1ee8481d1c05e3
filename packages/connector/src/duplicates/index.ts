// Detects repeated requests, so that each request is executed once and its repeats get the same answer.
export { isProblem } from './answer-memory.ts'
export { bytesToDigest, duplicateKey, isNamed } from './duplicate-key.ts'
export { Duplicates, type DuplicateLimits } from './duplicates.ts'
export { Execution, type Requester } from './execution.ts'
