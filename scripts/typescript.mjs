// `node --conditions=source --import ./scripts/typescript.mjs FILE.ts`: runs TypeScript sources without a build.
import { register } from 'node:module'

register('./typescript-hooks.mjs', import.meta.url)
// Stack traces show the line numbers of the source files.
process.setSourceMapsEnabled(true)
