// Exports the command tree, for the generated documentation, and the exit codes.
export { examplesOf } from './examples.ts'
export { EXIT, EXIT_MEANINGS } from './exit-code.ts'
export { runMain } from './main.ts'
export { createProgram } from './program.ts'
