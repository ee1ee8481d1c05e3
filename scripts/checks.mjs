// The checks that need no server: name, command, arguments.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, tool } from './step.mjs'

// By content: a checkout or a merge changes the times of files. Not in the default place, which prettier empties
// whenever it runs without a cache.
const PRETTIER_CACHE = [
  '--cache',
  '--cache-strategy=content',
  '--cache-location=node_modules/.cache/inferwire-prettier',
]

/** In the order in which they run: the build is first because others read its output. */
export function checks() {
  const packages = readdirSync(join(ROOT, 'packages'))
  return [
    ['build', tool('tsc'), ['-b']],
    ['types of the tests', tool('tsc'), ['-p', 'tsconfig.test.json']],
    ['format', tool('prettier'), ['--check', '--log-level', 'warn', ...PRETTIER_CACHE, '.']],
    ['lint', tool('oxlint'), ['--type-aware', '--deny-warnings']],
    ['unused code and undeclared dependencies', tool('knip'), []],
    ['generated documentation', process.execPath, ['scripts/docs.mjs', '--check']],
    ...packages.map((name) => [
      `package ${name}`,
      tool('publint'),
      ['run', '--strict', '--pack', 'npm', `packages/${name}`],
    ]),
  ]
}
