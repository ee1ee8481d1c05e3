// Reads the version of this package.
import { readFileSync } from 'node:fs'

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string
}

/** The version of the command-line program. */
export const VERSION: string = manifest.version
