// Formats plain tables in the style of kubectl: upper-case headers, columns separated by spaces, no borders.

/** Returns the table as text, one line per row; rows have no trailing spaces. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header.map((name) => name.toUpperCase()), ...rows.map((row) => row.map(printable))]
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]! + 3))
        .join('')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}

// Control, bidirectional and zero-width characters could change what a terminal displays.
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g

/**
 * Makes received text safe for a terminal, and keeps its lines: line breaks and tabs are the only control characters
 * that remain.
 */
export function printableLines(text: string): string {
  return text.replaceAll(UNPRINTABLE, (character) =>
    character === '\n' || character === '\t' ? character : '\ufffd',
  )
}

/** Makes received text safe for a terminal: replaces line breaks and control characters. */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, '\ufffd')
}
