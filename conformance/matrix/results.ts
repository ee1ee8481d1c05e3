// Keeps the results of all rows in one file, and their table in docs/reliability.md.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { RowResult } from './row.ts'
import { NAMED_ROWS, ROWS } from './rows.ts'
import { isMet, markdownResults, type RanRow } from './table.ts'

/** A row's result, as it is stored in the file. */
interface RowRecord extends RowResult {
  readonly name: string
  readonly command: string
  readonly isMet: boolean
  readonly seconds: number
}

const BEGIN = '<!-- matrix -->'
const END = '<!-- end of matrix -->'

/** Adds results to the file; keeps the results of other rows. */
export function addResults(file: string, ran: readonly RanRow[]): void {
  const records = new Map((existsSync(file) ? readRecords(file) : []).map((record) => [record.name, record]))
  for (const { row, result, seconds, command } of ran) {
    const { name } = row
    records.set(name, { name, command, isMet: isMet(result), seconds: Math.round(seconds), ...result })
  }
  writeFileSync(file, `${JSON.stringify([...records.values()], null, 2)}\n`)
}

/** Returns the results in the file as a table. The table lists rows without a result as not measured yet. */
export function tableOf(file: string): string {
  const records = readRecords(file)
  const ran = ROWS.flatMap((row): RanRow[] => {
    const record = records.find(({ name }) => name === row.name)
    return record === undefined
      ? []
      : [{ row, result: record, seconds: record.seconds, command: record.command }]
  })
  const missing = ROWS.filter(({ name }) => records.every((record) => record.name !== name))
  return markdownResults(ran, NAMED_ROWS, missing)
}

/** Returns the table between the two marks in a page. @throws if the page has no marks */
export function tableIn(page: string): string {
  const [begin, end] = marksOf(page)
  return page.slice(begin, end).trim()
}

/** Replaces the table between the two marks in a page. @throws if the page has no marks */
export function withTable(page: string, table: string): string {
  const [begin, end] = marksOf(page)
  return `${page.slice(0, begin)}\n\n${table}\n\n${page.slice(end)}`
}

function marksOf(page: string): readonly [begin: number, end: number] {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (begin === -1 || end < begin)
    throw new Error(`The page does not contain "${BEGIN}" followed by "${END}".`)
  return [begin + BEGIN.length, end]
}

function readRecords(file: string): readonly RowRecord[] {
  return JSON.parse(readFileSync(file, 'utf8')) as RowRecord[]
}
