// `npm run paho -- FOLDER`: paho's interoperability suites against the embedded broker, one line for each test.
// FOLDER is a checkout of eclipse/paho.mqtt.testing; the suites are Python 3 and need no other package.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { startBroker } from '@inferwire/dev'

const SUITES = ['client_test5', 'client_test']
const TEST_TIMEOUT_MS = 60_000
// Every test sleeps most of the time, so several run at the same time.
const TESTS_AT_ONCE = 4
// Runs one test of a suite as if it were the whole file. Both suites read the port from the command line.
const RUN_ONE_TEST = `
import runpy, sys, unittest
suite, port, test = sys.argv[1:]
main = unittest.main
unittest.main = lambda: main(argv=[suite, "Test." + test])
sys.argv = [suite, "-p", port]
runpy.run_path(suite + ".py", run_name="__main__")
`

const [folder, part = ''] = process.argv.slice(2)
if (folder === undefined) {
  process.stderr.write('npm run paho -- FOLDER [PART OF THE TEST NAMES]\n')
  process.exit(64)
}
const suiteFolder = join(resolve(folder), 'interoperability')
for (const suite of SUITES) {
  const tests = testsOf(suite).filter((test) => test.includes(part))
  const waiting = [...tests]
  let passed = 0
  await Promise.all(
    Array.from({ length: TESTS_AT_ONCE }, async () => {
      for (let test = waiting.shift(); test !== undefined; test = waiting.shift()) {
        const failure = await runTest(suite, test)
        if (failure === undefined) passed += 1
        process.stdout.write(`${suite} ${test}: ${failure ?? 'passed'}\n`)
      }
    }),
  )
  process.stdout.write(`${suite}: ${passed} of ${tests.length} passed\n`)
}

function testsOf(suite: string): string[] {
  const source = readFileSync(join(suiteFolder, `${suite}.py`), 'utf8')
  return [...source.matchAll(/^ {4}def (test\w*)\(self/gm)].map(([, name]) => name ?? '')
}

// Each test has its own broker, because tests share client identifiers and retained messages. Resolves with the
// failure, or with undefined if the test passes.
async function runTest(suite: string, test: string): Promise<string | undefined> {
  const broker = await startBroker('embedded', { mqttPort: 0, wsPort: 0 })
  const { port } = new URL(broker.url)
  const failure = await new Promise<string | undefined>((done) =>
    execFile(
      'python3',
      ['-c', RUN_ONE_TEST, suite, port, test],
      { cwd: suiteFolder, timeout: TEST_TIMEOUT_MS },
      (error, stdout, stderr) => {
        if (error === null) return done(undefined)
        const reason = `${stdout}${stderr}`.match(/^\w*(?:Error|timeout)\b.*$/gm)?.at(-1)
        done(
          `FAILED: ${error.killed === true ? `not finished after ${TEST_TIMEOUT_MS / 1000} s` : (reason ?? '')}`,
        )
      },
    ),
  )
  await broker.close()
  return failure
}
