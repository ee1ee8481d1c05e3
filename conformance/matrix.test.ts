// The matrix of faults cannot rot: its quick rows run, and what they count is as it must be. Times are for the full
// runs (`npm run matrix`), on a machine that does nothing else.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { tempFolder } from './fixtures/temp-folder.ts'
import { run } from './fixtures/inferwire.ts'
import { Findings, type RowResult } from './matrix/row.ts'
import { NAMED_ROWS, ROWS } from './matrix/rows.ts'
import { markdownTable } from './matrix/table.ts'

const FAST = ['duplicates', 'refused-replies', 'retained-request', 'bombs', 'replicas']
const CLI = fileURLToPath(new URL('matrix/cli.ts', import.meta.url))
const TYPESCRIPT = new URL('../scripts/typescript.mjs', import.meta.url).href

describe('a quick row meets what its criterion counts', () => {
  test.each(FAST)('%s', async (name) => {
    const row = ROWS.find((each) => each.name === name)!
    const { failures, figures } = await row.run({ quick: true, say: () => {} })
    expect(failures, JSON.stringify(figures)).toEqual([])
  })
})

test('every row has a name of its own, a criterion, and where it cannot run, the reason', () => {
  const all = [...ROWS, ...NAMED_ROWS]
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length)
  for (const { what, criterion } of all) expect(what === '' || criterion === '').toBe(false)
  for (const { reason } of NAMED_ROWS) expect(reason).not.toBe('')
})

test('a criterion that is not met shows in the table, with the command that runs the row', () => {
  const findings = new Findings()
  findings.figure('calls', 2)
  findings.check(false, '2 calls for 1 request')
  findings.checkTime(false, 'it took 2 s')
  const result: RowResult = findings.result
  const row = { ...ROWS[0]!, name: 'broken' }
  const table = markdownTable([{ row, result, seconds: 1 }], NAMED_ROWS, true)
  expect(table).toContain('NOT MET: 2 calls for 1 request; it took 2 s')
  expect(table).toContain('`npm run matrix -- broken --quick`')
  for (const { reason } of NAMED_ROWS) expect(table).toContain(`cannot run here: ${reason}`)
})

test('the command runs a row and writes its figures; an unknown row is refused with the names', async () => {
  const file = join(tempFolder('matrix'), 'figures.json')
  // As a user runs it: not as a worker of these tests.
  const argv = ['-u', 'VITEST', process.execPath, '--import', TYPESCRIPT, CLI]
  const ran = await run('env', [...argv, 'duplicates', '--quick', '--json', file])
  expect(ran.code, ran.stdout + ran.stderr).toBe(0)
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject([{ name: 'duplicates', failures: [] }])
  const refused = await run('env', [...argv, 'no-such-row'])
  expect(refused.code).toBe(64)
  expect(refused.stdout).toContain('overload-10x')
})
