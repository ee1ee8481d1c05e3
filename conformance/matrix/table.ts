// Formats the results as a Markdown table with the figures and the command of each row.
import type { Figures, NamedRow, Row, RowResult } from './row.ts'

/** One row that ran. */
export interface RanRow {
  readonly row: Row
  readonly result: RowResult
  readonly seconds: number
  /** The command that repeats it. */
  readonly command: string
}

/** The table also lists the rows that cannot run, with the reason, and the rows that have not run yet (`missing`). */
export function markdownTable(
  ran: readonly RanRow[],
  named: readonly NamedRow[],
  missing: readonly Row[] = [],
): string {
  const head = ['| row | what | criterion | result | figures | command |', '|---|---|---|---|---|---|']
  const lines = ran.map(({ row, result, seconds, command }) =>
    cells([
      row.name,
      row.what,
      row.criterion,
      isMet(result) ? 'met' : `NOT MET: ${shortcomings(result).join('; ')}`,
      `${textOf(result.figures)} (${seconds.toFixed(0)} s)`,
      `\`${command}\``,
    ]),
  )
  const open = missing.map(({ name, what, criterion }) =>
    cells([name, what, criterion, 'not measured yet', '', `\`npm run matrix -- ${name}\``]),
  )
  const impossible = named.map(({ name, what, criterion, reason }) =>
    cells([name, what, criterion, `cannot run here: ${reason}`, '', '']),
  )
  return [...head, ...lines, ...open, ...impossible].join('\n')
}

/** All parts of the criterion that are not met. */
export function shortcomings({ failures, late }: RowResult): readonly string[] {
  return [...failures, ...late]
}

/** Whether the whole criterion is met. */
export function isMet(result: RowResult): boolean {
  return shortcomings(result).length === 0
}

/** `name value, name value` */
export function textOf(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}

function cells(texts: readonly string[]): string {
  return `| ${texts.map((text) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
}
