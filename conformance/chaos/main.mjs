// `npm run chaos`: lets Node.js 20 run TypeScript, then runs cli.ts.
import './typescript/register.mjs'

await import('./cli.ts')
