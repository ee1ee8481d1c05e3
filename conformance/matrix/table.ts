// Formats the results as Markdown: a table of outcomes, then each row with its criterion, figures and command.
import type { Figures, NamedRow, Row, RowResult } from './row.ts'

/** A row that ran. */
export interface RanRow {
  readonly row: Row
  readonly result: RowResult
  readonly seconds: number
  /** The command that repeats this run, with the same share of the full amount. */
  readonly command: string
}

/** Formats the results; `named` lists the rows that cannot run here, `missing` those that have not run yet. */
export function markdownResults(
  ran: readonly RanRow[],
  named: readonly NamedRow[],
  missing: readonly Row[] = [],
): string {
  const table = [
    '| row | result | time |',
    '|---|---|---|',
    ...ran.map(({ row, result, seconds }) =>
      cells([row.name, isMet(result) ? 'met' : 'NOT MET', `${seconds.toFixed(0)} s`]),
    ),
    ...missing.map(({ name }) => cells([name, 'not measured yet', ''])),
    ...named.map(({ name }) => cells([name, 'cannot run here', ''])),
  ]
  const sections = [
    ...ran.map(({ row, result, command }) =>
      section(row, [
        ...(isMet(result) ? [] : [`NOT MET: ${shortcomings(result).join('; ')}`]),
        ...figureLines(result.figures),
        `Command: \`${command}\``,
      ]),
    ),
    ...missing.map((row) => section(row, [`Command: \`npm run matrix -- ${row.name}\``])),
    ...named.map((row) => section(row, [`Cannot run here: ${row.reason}`])),
  ]
  return [table.join('\n'), ...sections].join('\n\n')
}

function section({ name, what, criterion }: Row | NamedRow, items: readonly string[]): string {
  const lines = [`Fault or load: ${what}`, `Criterion: ${criterion}`, ...items]
  return `#### ${name}\n\n${lines.map((line) => `- ${line.replaceAll('\n', ' ')}`).join('\n')}`
}

// Returns one line for each group, and one line for the figures without a group. The form `group: name` assigns a
// figure to a group.
function figureLines(figures: Figures): string[] {
  const groups = new Map<string, string[]>()
  for (const [key, value] of Object.entries(figures)) {
    const [name = '', group] = key.split(': ').toReversed()
    const title = group === undefined ? 'Figures' : `Figures, ${group}`
    groups.set(title, [...(groups.get(title) ?? []), `${name} ${value}`])
  }
  return [...groups].map(([title, texts]) => `${title}: ${texts.join(', ')}`)
}

/** Returns a sentence for each part of the criterion that is not met. */
export function shortcomings({ failures, late }: RowResult): readonly string[] {
  return [...failures, ...late]
}

/** Returns whether the whole criterion is met. */
export function isMet(result: RowResult): boolean {
  return shortcomings(result).length === 0
}

/** Formats figures as `name value, name value`. */
export function textOf(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}

function cells(texts: readonly string[]): string {
  return `| ${texts.join(' | ')} |`
}
