// Finds a request that crashes the process, so that this request is not executed again after every restart.
export { deadLetterBody } from './dead-letter.ts'
export { openJournal } from './open-journal.ts'
export type { Journal } from './journal.ts'
export { PoisonWatch } from './poison-watch.ts'
export { stateFolderOf } from './state-folder.ts'
export { EXECUTIONS_MAX } from './suspicion.ts'
