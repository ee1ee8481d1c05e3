// Where things are: the checkout, the programs built from c/, what a run leaves behind.
import { fileURLToPath } from 'node:url'

/** The checkout. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** Everything that the benchmark makes; git ignores it. */
export const BUILD = fileURLToPath(new URL('./.build', import.meta.url))
/** The committed results. */
export const RESULTS = fileURLToPath(new URL('./RESULTS.md', import.meta.url))
