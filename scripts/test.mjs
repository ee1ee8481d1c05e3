// `npm test`: brings what is needed, checks everything, and ends with "N passed, N failed".
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checks } from './checks.mjs'
import { install } from './install.mjs'
import { prepareMachine } from './machine.mjs'
import { say, step, tool } from './step.mjs'

await install()
await prepareMachine()

let passed = 0
let failed = 0
for (const [name, command, args] of checks()) {
  if (await step(name, command, args)) passed += 1
  else failed += 1
}

const folder = mkdtempSync(join(tmpdir(), 'inferwire-test-'))
const report = join(folder, 'report.json')
const isPassed = await step(
  'tests',
  tool('vitest'),
  ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...process.argv.slice(2)],
  { show: true },
)
const tests = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : undefined
rmSync(folder, { recursive: true, force: true })
if (tests === undefined || tests.numTotalTests === 0) {
  say('FAIL  no test was executed')
  failed += 1
} else {
  passed += tests.numPassedTests
  failed += tests.numFailedTests
  const skipped = tests.numPendingTests + tests.numTodoTests
  if (skipped > 0) {
    say(`FAIL  ${skipped} tests were skipped; a test that cannot run is to fail with a remedy`)
    failed += 1
  }
  // A file that could not be loaded, or an unhandled error, fails the run without a failed test.
  if (!isPassed && tests.numFailedTests === 0) failed += 1
}

console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
