// Plain tables as kubectl prints them: upper-case headers, columns by spaces, no boxes.

/** Lines of a table; the last column is never padded. */
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

// Control, bidirectional and zero-width characters could rewrite what a reader sees in a terminal.
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g

/** Text from the wire, made safe for a terminal: one line, nothing that moves the cursor. */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, '\ufffd')
}
