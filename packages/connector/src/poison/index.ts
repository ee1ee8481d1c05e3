// The front of the poison room.
export { deadLetterBody } from './dead-letter.ts'
export { Journal } from './journal.ts'
export { defaultStateFolder } from './state-folder.ts'
export { ATTEMPTS_MAX, EXECUTIONS_MAX, Suspicion } from './suspicion.ts'
