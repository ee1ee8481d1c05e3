// The checks that need no server: name, command, arguments.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, tool } from './step.mjs'

/** In the order in which they are run; the build comes first, because others look at its output. */
export function checks() {
  const packages = readdirSync(join(ROOT, 'packages'))
  return [
    ['build', tool('tsc'), ['-b']],
    ['types of the tests', tool('tsc'), ['-p', 'tsconfig.test.json']],
    ['format', tool('prettier'), ['--check', '--log-level', 'warn', '.']],
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
