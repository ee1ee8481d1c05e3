// `npm run matrix`: runs rows one after another and prints the table. The exit code is 1 if a criterion was not met.
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { addResults, tableOf, withTable } from './results.ts'
import type { Row, RowResult } from './row.ts'
import { NAMED_ROWS, ROWS } from './rows.ts'
import { isMet, markdownResults, shortcomings, textOf, type RanRow } from './table.ts'

const USAGE = `npm run matrix -- [ROW...] [options]
  --scale S    multiplies the counts and durations by S (0 < S <= 1) [default: 1]
  --quick      runs each row for at most about half a minute
  --list       lists the rows with their durations; run nothing else on the machine during a row marked "alone"
  --json FILE  adds the results to FILE
  --write FILE writes the results in FILE to docs/reliability.md, and runs nothing
Runs all rows unless a ROW is given.`

const PAGE = new URL('../../docs/reliability.md', import.meta.url)

// Some rows mount small file systems. This process runs in a mount namespace of its own, so that none of them stay
// mounted after it exits. If no namespace can be created, the rows run anyway, and the mounts fail with an error that
// names the remedy.
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
    scale: { type: 'string', default: '1' },
    json: { type: 'string' },
    write: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) end(USAGE, 0)
const { quick } = values
const scale = Number(values.scale)
if (!(scale > 0 && scale <= 1)) end(`--scale is "${values.scale}"; expected a number above 0, at most 1.`, 64)
const unknown = positionals.filter((name) => ROWS.every((row) => row.name !== name))
if (unknown.length > 0) {
  const known = ROWS.map(({ name }) => name).join(', ')
  end(`There is no row ${unknown.map((name) => `"${name}"`).join(', ')}. The rows are: ${known}.`, 64)
}
if (values.write !== undefined) {
  writeFileSync(PAGE, withTable(readFileSync(PAGE, 'utf8'), tableOf(values.write)))
  end(
    `Wrote the results in ${values.write} to docs/reliability.md. Run: npx prettier --write docs/reliability.md`,
    0,
  )
}
const chosen = positionals.length === 0 ? ROWS : ROWS.filter(({ name }) => positionals.includes(name))
if (values.list) end(plan(), 0)
const ran: RanRow[] = []
for (const row of chosen) {
  say(`${row.name}: ${row.what}`)
  const startedAtMs = performance.now()
  const result = await resultOf(row)
  const seconds = (performance.now() - startedAtMs) / 1000
  const command = `npm run matrix -- ${row.name}${quick ? ' --quick' : scale === 1 ? '' : ` --scale ${scale}`}`
  const last: RanRow = { row, result, seconds, command }
  ran.push(last)
  say(`  ${isMet(result) ? 'met' : 'NOT MET'} after ${seconds.toFixed(0)} s: ${textOf(result.figures)}`)
  for (const failure of shortcomings(result)) say(`  - ${failure}`)
  // The results are saved after each row, so that a failure in a later row does not lose them.
  if (values.json !== undefined) addResults(values.json, [last])
}
say(`\n${markdownResults(ran, positionals.length === 0 ? NAMED_ROWS : [])}`)
process.exit(ran.every(({ result }) => isMet(result)) ? 0 : 1)

async function resultOf(row: Row): Promise<RowResult> {
  try {
    return await row.run({ quick, scale, say: (line) => say(`  ${line}`) })
  } catch (error) {
    return {
      figures: {},
      late: [],
      failures: [`The row could not run: ${error instanceof Error ? error.stack : String(error)}`],
    }
  }
}

function plan(): string {
  const lines = chosen.map(({ name, what, fullSeconds, isTimed }) => {
    const minutes = minutesOf(fullSeconds).padStart(8)
    return `${name.padEnd(24)} ${minutes} ${isTimed ? 'alone' : '     '} ${what}`
  })
  const sum = chosen.reduce((total, { fullSeconds }) => total + fullSeconds, 0)
  return [...lines, `${'total'.padEnd(24)} ${minutesOf(sum).padStart(8)}`].join('\n')
}

function minutesOf(fullSeconds: number): string {
  return `${((quick ? Math.min(30, fullSeconds) : fullSeconds * scale) / 60).toFixed(1)} min`
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function end(text: string, code: number): never {
  say(text)
  process.exit(code)
}
