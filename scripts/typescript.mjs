// `node --conditions=source --import ./scripts/typescript.mjs FILE.ts`: runs TypeScript sources without a build.
import { register } from 'node:module'

register('./typescript-hooks.mjs', import.meta.url)
// Stacks with the lines of the sources.
process.setSourceMapsEnabled(true)
