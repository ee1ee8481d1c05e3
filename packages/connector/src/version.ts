// The version of this package, shown in the status, the metrics and the command line.
import { readFileSync } from 'node:fs'

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string
}

/** Version of the connector. */
export const VERSION: string = manifest.version
