// `node --import …/register.mjs file.ts`: Node.js 20 runs the TypeScript of this folder.
import { register } from 'node:module'

register('./hooks.mjs', import.meta.url)
