// Paths of the checkout, of the programs built from c/, and of a run's output.
import { fileURLToPath } from 'node:url'

/** Root of the checkout. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** Folder for files that the benchmark creates; ignored by git. */
export const BUILD = fileURLToPath(new URL('./.build', import.meta.url))
/** File with the committed results. */
export const RESULTS = fileURLToPath(new URL('./RESULTS.md', import.meta.url))
