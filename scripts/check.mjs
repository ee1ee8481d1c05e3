// `npm run check`: runs the quick checks (build, types, format, lint, unused code, outdated generated pages, unit
// tests).
import { checks } from './checks.mjs'
import { install } from './install.mjs'
import { step, tool } from './step.mjs'

// The fuzz tests take a quarter of the CPU time of all unit tests. They run in `npm test`.
const NOT_FUZZ = ['--exclude=**/fuzz.test.ts']

await install()
const [build, ...rest] = checks().filter(([name]) => !name.startsWith('package '))
let isGood = await step(...build)
// Two checks run at a time, for machines with two cores. The longest check starts first.
const queue = [
  ['unit tests', tool('vitest'), ['run', '--project=unit*', ...NOT_FUZZ, '--reporter=dot']],
  ...rest,
]
const worker = async () => {
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    if (!(await step(...next))) isGood = false
  }
}
await Promise.all([worker(), worker()])
process.exit(isGood ? 0 : 1)
