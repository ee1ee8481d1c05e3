// Exports the exit codes, and the command tree for the generated documentation and its tests.
export { CHECKS } from './doctor/checks.ts'
export { diagnose } from './doctor/diagnose.ts'
export { commandWords } from './command-words.ts'
export { examplesOf } from './examples.ts'
export { EXIT, EXIT_MEANINGS } from './exit-code.ts'
export { runMain } from './main.ts'
export { createProgram } from './program.ts'
