// `npm run check`: runs the quick checks (build, types, format, lint, unused code, outdated generated pages, unit
// tests).
import { checks } from './checks.mjs'
import { install } from './install.mjs'
import { step, tool } from './step.mjs'

// These tests take much CPU time. They run in `npm test`.
const NOT_RANDOM = ['--exclude=**/fuzz.test.ts', '--exclude=**/*.property.test.ts']
// Keeps the transformed sources in node_modules for the next check.
const CACHED = '--experimental.fsModuleCache'
// The other property tests have fewer runs than in `npm test`, where some have 10,000.
const FEWER_RUNS = { env: { PROPERTY_RUNS_MAX: '200' } }

await install()
const [build, ...rest] = checks().filter(([name]) => name !== 'packed packages')
let isGood = await step(...build)
// Two checks run at a time, for machines with two cores. The longest check starts first.
const queue = [
  [
    'unit tests',
    tool('vitest'),
    ['run', '--project=unit*', ...NOT_RANDOM, CACHED, '--reporter=dot'],
    FEWER_RUNS,
  ],
  ...rest,
]
const worker = async () => {
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    if (!(await step(...next))) isGood = false
  }
}
await Promise.all([worker(), worker()])
process.exit(isGood ? 0 : 1)
