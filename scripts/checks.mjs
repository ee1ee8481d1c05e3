// The checks that require no server, each with its name, command and arguments.
import { tool } from './step.mjs'

// The cache compares file contents, because a checkout or a merge changes file times. The cache is not at its default
// location, because Prettier deletes a cache at that location whenever it runs without `--cache`.
const PRETTIER_CACHE = [
  '--cache',
  '--cache-strategy=content',
  '--cache-location=node_modules/.cache/inferwire-prettier',
]

/** Returns the checks in the order in which they run: the build is first, because other checks read its output. */
export function checks() {
  return [
    ['build', tool('tsc'), ['-b']],
    ['type check of the tests', tool('tsc'), ['-p', 'tsconfig.test.json']],
    ['format', tool('prettier'), ['--check', '--log-level', 'warn', ...PRETTIER_CACHE, '.']],
    ['lint', tool('oxlint'), ['--type-aware', '--deny-warnings']],
    ['unused code and undeclared dependencies', tool('knip'), []],
    ['generated documentation', process.execPath, ['scripts/docs.mjs', '--check']],
    ['packed packages', process.execPath, ['scripts/check-packages.mjs']],
  ]
}
