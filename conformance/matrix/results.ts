// The results of rows that ran one by one, kept in one file, and their table on the page about reliability.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { RowResult } from './row.ts'
import { NAMED_ROWS, ROWS } from './rows.ts'
import { isMet, markdownResults, type RanRow } from './table.ts'

/** A row in the file. */
interface RowRecord extends RowResult {
  readonly name: string
  readonly command: string
  readonly isMet: boolean
  readonly seconds: number
}

const BEGIN = '<!-- matrix -->'
const END = '<!-- end of matrix -->'

/** Puts them into the file; those of other rows stay. */
export function addResults(file: string, ran: readonly RanRow[]): void {
  const records = new Map((existsSync(file) ? readRecords(file) : []).map((record) => [record.name, record]))
  for (const { row, result, seconds, command } of ran) {
    const { name } = row
    records.set(name, { name, command, isMet: isMet(result), seconds: Math.round(seconds), ...result })
  }
  writeFileSync(file, `${JSON.stringify([...records.values()], null, 2)}\n`)
}

/** The table of the rows in the file; others are in it as not measured yet. */
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

/** The table between the two marks of a page. @throws when the page has no marks */
export function tableIn(page: string): string {
  const [begin, end] = marksOf(page)
  return page.slice(begin, end).trim()
}

/** The page with another table between its marks. @throws when the page has no marks */
export function withTable(page: string, table: string): string {
  const [begin, end] = marksOf(page)
  return `${page.slice(0, begin)}\n\n${table}\n\n${page.slice(end)}`
}

function marksOf(page: string): readonly [begin: number, end: number] {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (begin === -1 || end < begin) throw new Error(`The page has no "${BEGIN}" before "${END}".`)
  return [begin + BEGIN.length, end]
}

function readRecords(file: string): readonly RowRecord[] {
  return JSON.parse(readFileSync(file, 'utf8')) as RowRecord[]
}
