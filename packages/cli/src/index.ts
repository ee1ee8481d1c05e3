// The command line as a library: the command tree for generated documentation, and the exit codes.
export { EXIT, EXIT_MEANINGS } from './exit-code.ts'
export { runMain } from './main.ts'
export { createProgram } from './program.ts'
