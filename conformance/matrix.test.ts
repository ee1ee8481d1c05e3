// Runs quick rows of the matrix and checks their counts. Times are checked only by full runs (`npm run matrix`) on an
// otherwise idle machine.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { run } from './fixtures/processes.ts'
import { tempFolder } from './fixtures/temp-folder.ts'
import { addResults, tableIn, tableOf, withTable } from './matrix/results.ts'
import { amountOf, Findings, type RowResult } from './matrix/row.ts'
import { NAMED_ROWS, ROWS } from './matrix/rows.ts'
import { markdownResults, type RanRow } from './matrix/table.ts'

const FAST = ['duplicates', 'refused-replies', 'retained-request', 'bombs', 'replicas']
const CLI = fileURLToPath(new URL('matrix/cli.ts', import.meta.url))
const ROOT = fileURLToPath(new URL('..', import.meta.url))
const TYPESCRIPT = new URL('../scripts/typescript.mjs', import.meta.url).href

describe("a quick run of a row meets the counts in the row's criterion", () => {
  test.each(FAST)('%s', async (name) => {
    const row = ROWS.find((each) => each.name === name)!
    const { failures, figures } = await row.run({ quick: true, scale: 1, say: () => {} })
    expect(failures, JSON.stringify(figures)).toEqual([])
  })
})

test('every row has a unique name, a criterion, and a reason if it cannot run', () => {
  const all = [...ROWS, ...NAMED_ROWS]
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length)
  for (const { what, criterion } of all) expect(what === '' || criterion === '').toBe(false)
  for (const { reason } of NAMED_ROWS) expect(reason).not.toBe('')
})

test('the table shows which part of a criterion is not met, and the command that repeats the row', () => {
  const findings = new Findings()
  findings.figure('calls', 2)
  findings.check(false, '2 calls for 1 request')
  findings.checkTime(false, 'it took 2 s')
  const result: RowResult = findings.result
  const row = { ...ROWS[0]!, name: 'broken' }
  const command = 'npm run matrix -- broken --quick'
  const table = markdownResults([{ row, result, seconds: 1, command }], NAMED_ROWS)
  expect(table).toContain('NOT MET: 2 calls for 1 request; it took 2 s')
  expect(table).toContain('`npm run matrix -- broken --quick`')
  for (const { reason } of NAMED_ROWS) expect(table).toContain(`- Cannot run here: ${reason}`)
})

test('a row that runs only a share of its full count reports both numbers', () => {
  const options = { quick: false, scale: 0.1, say: () => {} }
  const findings = new Findings()
  findings.ran('kills', amountOf(options, 1000, 6), 1000)
  findings.ran('restarts', amountOf(options, 3, 2), 3)
  findings.ran('seconds', amountOf({ ...options, scale: 1 }, 60, 6), 60)
  expect(findings.result.figures).toEqual({ kills: '100 of 1000', restarts: '1 of 3', seconds: 60 })
})

test('docs/reliability.md contains the results of conformance/matrix/results.json', () => {
  const page = readFileSync(join(ROOT, 'docs/reliability.md'), 'utf8')
  const table = tableOf(fileURLToPath(new URL('matrix/results.json', import.meta.url)))
  expect(unformatted(tableIn(page))).toBe(unformatted(table))
})

test('results are added row by row, and a repeated row replaces its result', () => {
  const file = join(tempFolder('matrix'), 'results.json')
  addResults(file, [ran('duplicates', 1)])
  addResults(file, [ran('bombs', 7)])
  addResults(file, [ran('duplicates', 2)])
  const page = withTable('# Page\n\n<!-- matrix -->\n\nold\n\n<!-- end of matrix -->\n\nend\n', tableOf(file))
  expect(page).toContain('| duplicates | met | 1 s |')
  expect(page).toContain('- Figures: calls 2\n- Command: `npm run matrix -- duplicates --scale 0.5`')
  expect(page).toContain('- Figures: calls 7')
  expect(page).toContain('| replicas | not measured yet |')
  expect(page).toMatch(/^# Page\n\n<!-- matrix -->\n\n\| row [^]*\n\n<!-- end of matrix -->\n\nend\n$/)
  expect(page).not.toContain('old')
})

test('the command runs a row and writes its figures; for an unknown row, it fails and lists all rows', async () => {
  const file = join(tempFolder('matrix'), 'figures.json')
  // Unsets VITEST, so that the command runs as it does for a user.
  const argv = ['-u', 'VITEST', process.execPath, '--import', TYPESCRIPT, CLI]
  const ran = await run('env', [...argv, 'duplicates', '--quick', '--json', file])
  expect(ran.code, ran.stdout + ran.stderr).toBe(0)
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject([{ name: 'duplicates', failures: [] }])
  const refused = await run('env', [...argv, 'no-such-row'])
  expect(refused.code).toBe(64)
  expect(refused.stdout).toContain('overload-10x')
})

function ran(name: string, calls: number): RanRow {
  return {
    row: ROWS.find((each) => each.name === name)!,
    result: { figures: { calls }, failures: [], late: [] },
    seconds: 1,
    command: `npm run matrix -- ${name} --scale 0.5`,
  }
}

// Prettier pads the table and wraps the text, so white space is not compared.
function unformatted(markdown: string): string {
  return markdown.replaceAll(/-{3,}/g, '---').replaceAll(/\s+/g, '')
}
