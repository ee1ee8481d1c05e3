// Finds overlong lines and table cells in Markdown pages.
import type { SourceFile } from './check-sources.ts'

/** Maximum length of a line; prettier wraps at the same length. */
export const LINE_COLUMNS_MAX = 120
/** Maximum length of a table cell in characters: a cell should hold a phrase, not a paragraph. */
export const CELL_COLUMNS_MAX = 160

/**
 * Returns `path:line: …` for each line and each table cell that is too long. Ignores code blocks. Inline code, links
 * and comments do not count: prettier cannot break them, and they are easy to read even in a long line.
 */
export function findLongLines({ path, text }: SourceFile): string[] {
  const lines = text.replace(/^( *)(```|~~~)[\s\S]*?^ *\2.*$/gm, blank).split('\n')
  return lines.flatMap((line, index) => faultsOf(line).map((fault) => `${path}:${index + 1}: ${fault}`))
}

function faultsOf(line: string): string[] {
  const words = line.replace(/`[^`]*`|\]\([^)]*\)|<!--.*?-->|https?:\/\/\S+/g, '')
  if (!line.trimStart().startsWith('|')) {
    const isLong = line.length > LINE_COLUMNS_MAX && words.length > LINE_COLUMNS_MAX
    return isLong ? [`${line.length} columns, more than ${LINE_COLUMNS_MAX}`] : []
  }
  return words
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim())
    .filter((cell) => cell.length > CELL_COLUMNS_MAX && !/^:?-+:?$/.test(cell))
    .map((cell) => `a table cell of ${cell.length} characters ("${cell.slice(0, 30)}…")`)
}

function blank(block: string): string {
  return block.replace(/[^\n]/g, '')
}
