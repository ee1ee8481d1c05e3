// Markdown tables.

/** Returns a Markdown table with right-aligned numbers. */
export function table(head, rows) {
  const widths = head.map((heading, column) =>
    Math.max(3, heading.length, ...rows.map((row) => row[column].length)),
  )
  const isNumber = (column) => rows.every((row) => /^(\*\*)?[\d.]|^$/.test(row[column]))
  const line = (cells) =>
    `| ${cells.map((cell, column) => (isNumber(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column]))).join(' | ')} |`
  const rule = widths.map((width, column) =>
    isNumber(column) ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width),
  )
  return [line(head), line(rule), ...rows.map(line)].join('\n')
}

/**
 * Returns the table of the targets.
 * @param {{ target: string, measured: string, isMet: boolean | undefined }[]} targets `isMet` is undefined if the run
 *   cannot show whether the target is met; `measured` then contains the reason
 */
export function targetTable(targets) {
  const rows = targets.map(({ target, measured, isMet }) => [
    target,
    measured,
    isMet === undefined ? 'not measured' : isMet ? 'yes' : '**no**',
  ])
  return table(['target', 'measured', 'met'], rows)
}
