// Paths of the checkout, the programs built from c/, and the output of a run.
import { fileURLToPath } from 'node:url'

/** The checkout. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** Files that the benchmark creates; ignored by git. */
export const BUILD = fileURLToPath(new URL('./.build', import.meta.url))
/** The committed results. */
export const RESULTS = fileURLToPath(new URL('./RESULTS.md', import.meta.url))
