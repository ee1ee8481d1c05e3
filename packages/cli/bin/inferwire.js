#!/usr/bin/env node
// The `inferwire` command. Only finds the built program; everything else is in src.
import { existsSync } from 'node:fs'

const main = new URL('../dist/main.js', import.meta.url)
if (existsSync(main)) {
  const { runMain } = await import(main.href)
  await runMain(process.argv.slice(2))
} else {
  process.stderr.write(
    'error: inferwire is not built yet\n       Run "npm run build" in the repository first.\n',
  )
  process.exitCode = 70
}
