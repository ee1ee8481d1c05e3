// `npm run matrix`: runs rows one after another, prints the table; exit code 1 when a criterion was not met.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Row, RowResult } from './row.ts'
import { NAMED_ROWS, ROWS } from './rows.ts'
import { isMet, markdownTable, shortcomings, textOf, type RanRow } from './table.ts'

const USAGE = `npm run matrix -- [ROW...] [options]
  --quick      at most half a minute each
  --list       names the rows
  --json FILE  writes the results
Without a ROW it runs all.`

// Rows mount small file systems: in a namespace of their own they vanish with the process. Where there is none the rows
// run all the same; those that mount say what they need.
const IN_OWN_MOUNTS = 'MATRIX_IN_OWN_MOUNTS'
const canHaveOwnMounts = process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'true']).status === 0
if (canHaveOwnMounts && process.env[IN_OWN_MOUNTS] === undefined) {
  const argv = ['--mount', '--propagation', 'private', process.execPath, ...process.execArgv]
  const { status } = spawnSync('unshare', [...argv, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, [IN_OWN_MOUNTS]: '1' },
  })
  process.exit(status ?? 1)
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) end(USAGE, 0)
if (values.list) {
  end(ROWS.map(({ name, what, fullTakes }) => `${name.padEnd(24)} ${what} (${fullTakes})`).join('\n'), 0)
}
const unknown = positionals.filter((name) => ROWS.every((row) => row.name !== name))
if (unknown.length > 0) {
  const known = ROWS.map(({ name }) => name).join(', ')
  end(`There is no row ${unknown.map((name) => `"${name}"`).join(', ')}. The rows are: ${known}.`, 64)
}
const { quick } = values
const chosen = positionals.length === 0 ? ROWS : ROWS.filter(({ name }) => positionals.includes(name))
const ran: RanRow[] = []
for (const row of chosen) {
  say(`${row.name}: ${row.what}`)
  const startedAtMs = performance.now()
  const result = await resultOf(row)
  const seconds = (performance.now() - startedAtMs) / 1000
  ran.push({ row, result, seconds })
  say(`  ${isMet(result) ? 'met' : 'NOT MET'} after ${seconds.toFixed(0)} s: ${textOf(result.figures)}`)
  for (const failure of shortcomings(result)) say(`  - ${failure}`)
}
say(`\n${markdownTable(ran, positionals.length === 0 ? NAMED_ROWS : [], quick)}`)
if (values.json !== undefined) {
  const rows = ran.map(({ row, result, seconds }) => ({ name: row.name, quick, seconds, ...result }))
  writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`)
}
process.exit(ran.every(({ result }) => isMet(result)) ? 0 : 1)

async function resultOf(row: Row): Promise<RowResult> {
  try {
    return await row.run({ quick, say: (line) => say(`  ${line}`) })
  } catch (error) {
    return {
      figures: {},
      late: [],
      failures: [`It could not be run: ${error instanceof Error ? error.stack : String(error)}`],
    }
  }
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function end(text: string, code: number): never {
  say(text)
  process.exit(code)
}
