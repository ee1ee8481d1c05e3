// `npm test`: installs what is missing, runs all checks and tests, and ends with "N passed, N failed".
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { checks } from './checks.mjs'
import { install } from './install.mjs'
import { buildKserveController } from './kserve-controller.mjs'
import { buildControlPlane, fetchKubernetesClients } from './kubernetes-tools.mjs'
import { fetchLlama } from './llama-package.mjs'
import { buildLoginService } from './login-service.mjs'
import { prepareMachine } from './machine.mjs'
import { fail, ROOT, say, step, tool } from './step.mjs'

let passed = 0
let failed = 0
// The counts are always printed on the last line, even if an installation or this script fails before any test is
// counted.
process.on('exit', (code) => {
  console.log(`${passed} passed, ${code !== 0 && failed === 0 ? 1 : failed} failed`)
})

await install()
const machine = prepareMachine()
const clients = machine.then(fetchKubernetesClients)
// Compiles at the lowest priority while the checks and the unit tests run, because these do not need an idle machine.
// One build after the other, because each build uses all cores. The second build uses what the first one compiled.
const cluster = buildControlPlane(machine)
  .then(() => buildKserveController(machine, clients))
  .catch((error) => error)
const loginService = cluster.then(() => buildLoginService(machine)).catch((error) => error)
await clients.catch((error) => fail(error.message))
await fetchLlama().catch((error) => fail(error.message))

for (const [name, command, args] of checks()) {
  if (await step(name, command, args)) passed += 1
  else failed += 1
}
const folder = mkdtempSync(join(tmpdir(), 'inferwire-test-'))
const filters = process.argv.slice(2)
let testsExecuted = 0
await runTests('unit tests', ['unit*'])
// The other tests measure times, so the compiler must have finished.
for (const buildError of [await cluster, await loginService]) {
  if (buildError !== undefined) failure(buildError.message)
}
await runTests('conformance tests', ['conformance', 'cluster'])
if (testsExecuted === 0) failure('no test was executed')
rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
process.exit(failed === 0 ? 0 : 1)

async function runTests(name, projects) {
  const report = join(folder, `${name}.json`)
  const isPassed = await step(
    name,
    tool('vitest'),
    [
      'run',
      ...projects.map((project) => `--project=${project}`),
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
      // The filters on the command line may match no file in one of the two runs.
      ...(filters.length > 0 ? ['--passWithNoTests', ...filters] : []),
    ],
    // Files left behind by a killed test are removed with the folder.
    { show: true, timeoutMs: 3_600_000, env: { TMPDIR: folder } },
  )
  count(isPassed, existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : undefined)
}

/** Counts the results: a run passes only if each of its tests was executed. */
function count(isPassed, tests) {
  if (tests === undefined) return isPassed || failure('vitest wrote no report')
  testsExecuted += tests.numPassedTests + tests.numFailedTests
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
      `${skipped.length} tests were skipped; a test that cannot run must fail with a remedy:\n${titles}`,
    )
  }
  // A file that could not be loaded, or whose hook threw an error, fails although none of its tests failed.
  const broken = tests.testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((result) => result.status === 'failed'),
  )
  for (const { name } of broken) failure(`${relative(ROOT, name)} failed outside of its tests`)
  // An uncaught error also fails the run although no test failed.
  if (!isPassed && tests.numFailedTests === 0 && broken.length === 0) failure('vitest found an error')
}

function failure(text) {
  say(`FAIL  ${text}`)
  failed += 1
}
