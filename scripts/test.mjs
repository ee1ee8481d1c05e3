// `npm test`: brings what is needed, checks everything, and ends with "N passed, N failed".
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { checks } from './checks.mjs'
import { install } from './install.mjs'
import { buildControlPlane, fetchKubernetesClients } from './kubernetes-tools.mjs'
import { prepareMachine } from './machine.mjs'
import { fail, ROOT, say, step, tool } from './step.mjs'

let passed = 0
let failed = 0
// The last line, also when an install or this script itself failed before anything was counted.
process.on('exit', (code) => {
  console.log(`${passed} passed, ${code !== 0 && failed === 0 ? 1 : failed} failed`)
})

await install()
// The longest first, and beside everything else: the tests that need it come last, and wait for it.
const machine = prepareMachine()
const controlPlane = buildControlPlane(machine).catch((error) => error)
await fetchKubernetesClients(await machine).catch((error) => fail(error.message))

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
  // What a killed test leaves behind goes with the folder.
  { show: true, timeoutMs: 3_600_000, env: { TMPDIR: folder } },
)
count(existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : undefined)
rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
const buildError = await controlPlane
if (buildError !== undefined) failure(buildError.message)
process.exit(failed === 0 ? 0 : 1)

/** A run proves something only when each of its tests ran. */
function count(tests) {
  if (tests === undefined || tests.numPassedTests + tests.numFailedTests === 0) {
    return failure('no test was executed')
  }
  passed += tests.numPassedTests
  failed += tests.numFailedTests
  const all = tests.testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.map(({ status, fullName }) => ({
      status,
      title: `${relative(ROOT, name)}: ${fullName}`,
    })),
  )
  const skipped = all.filter(({ status }) => status !== 'passed' && status !== 'failed')
  if (skipped.length > 0) {
    const titles = skipped.map(({ title }) => `  ${title}`).join('\n')
    failure(
      `${skipped.length} tests were skipped; a test that cannot run is to fail with a remedy:\n${titles}`,
    )
  }
  // A file that could not be loaded, or whose hook threw, fails without a failed test.
  const broken = tests.testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((result) => result.status === 'failed'),
  )
  for (const { name } of broken) failure(`${relative(ROOT, name)} failed outside of its tests`)
  // So does an error that nobody caught.
  if (!isPassed && tests.numFailedTests === 0 && broken.length === 0) failure('vitest found an error')
}

function failure(text) {
  say(`FAIL  ${text}`)
  failed += 1
}
