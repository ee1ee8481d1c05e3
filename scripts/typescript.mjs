// `node --conditions=source --import ./scripts/typescript.mjs FILE.ts`: runs TypeScript sources without a build.
import { register } from 'node:module'

register('./typescript-hooks.mjs', import.meta.url)
// Shows the source files' line numbers in stack traces.
process.setSourceMapsEnabled(true)
