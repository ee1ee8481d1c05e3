#!/usr/bin/env node
// Entry point of the `inferwire` command: loads the compiled program from dist.
import { existsSync } from 'node:fs'

const main = new URL('../dist/main.js', import.meta.url)
if (existsSync(main)) {
  const { runMain } = await import(main.href)
  await runMain(process.argv.slice(2))
} else {
  process.stderr.write(
    'error: inferwire has not been built\n       Run "npm run build" in the repository first.\n',
  )
  process.exitCode = 70
}
