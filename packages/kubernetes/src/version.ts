// The version of this package, which is also the tag of the connector's image.
import { readFileSync } from 'node:fs'

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string
}

/** The connector's version. */
export const VERSION: string = manifest.version
