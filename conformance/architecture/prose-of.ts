// Masks everything in a file except its prose: the comments and texts of a source, or the sentences of a Markdown page.
import { parseSync } from 'oxc-parser'
import type { SourceFile } from './check-sources.ts'

/** Separates two pieces of prose, so that no phrase matches across them. */
const CUT = '\u0000'

/**
 * Returns the file's text with everything except prose masked. Length and line breaks stay the same.
 * @throws Error if a source does not parse
 */
export function proseOf(file: SourceFile): string {
  if (file.path.endsWith('.md')) return markdownProse(file.text)
  if (/\.[cm]?[jt]s$/.test(file.path)) return sourceProse(file)
  return file.path.endsWith('.c') ? cProse(file.text) : hashProse(file.text)
}

function sourceProse({ path, text }: SourceFile): string {
  const { program, comments, errors } = parseSync(path, text)
  if (errors.length > 0) throw new Error(`${path} does not parse: ${errors[0]!.message}`)
  const spans = [...comments, ...textsIn(program)]
  // Line breaks and indentation between two comment lines do not end a sentence.
  const prose = Array.from(text.replace(/\S/g, CUT))
  for (const { start, end } of spans) {
    for (let index = start; index < end; index++) prose[index] = text[index]!
  }
  return withoutMarks(prose.join(''))
}

interface Span {
  readonly start: number
  readonly end: number
}

// Returns the spans of string literals and of template texts, except module names.
function textsIn(node: unknown): Span[] {
  if (Array.isArray(node)) return node.flatMap(textsIn)
  if (typeof node !== 'object' || node === null) return []
  const { type, value, start, end } = node as Readonly<Record<string, unknown>>
  if (type === 'Literal' && typeof value === 'string') return [{ start: Number(start), end: Number(end) }]
  if (type === 'TemplateElement') return [{ start: Number(start), end: Number(end) }]
  return Object.entries(node).flatMap(([key, child]) => (key === 'source' ? [] : textsIn(child)))
}

function withoutMarks(text: string): string {
  return text.replace(/^([\s\u0000]*)(?:\/\/|\/?\*+\/?)/gm, (marks) => marks.replace(/[/*]/g, ' '))
}

function markdownProse(text: string): string {
  return text
    .replace(/^( *)(```|~~~)[\s\S]*?^ *\2.*$/gm, cut)
    .replace(/<!--[\s\S]*?-->/g, cut)
    .replace(/(`+)[^`][\s\S]*?\1/g, cut)
    .replace(/\]\([^)\s]*\)|https?:\/\/\S+/g, cut)
    .replace(/^( *)> /gm, '$1  ')
}

function hashProse(text: string): string {
  return text
    .split('\n')
    .map((line) => {
      const start = line.search(/(?<!\S)#/)
      return start === -1 ? cut(line) : `${cut(line.slice(0, start))} ${line.slice(start + 1)}`
    })
    .join('\n')
}

function cProse(text: string): string {
  const prose = Array.from(text.replace(/\S/g, CUT))
  for (const { 0: comment, index } of text.matchAll(/\/\*[\s\S]*?\*\/|\/\/.*/g)) {
    prose.splice(index, comment.length, ...Array.from(comment))
  }
  return withoutMarks(prose.join(''))
}

function cut(text: string): string {
  return text.replace(/\S/g, CUT)
}
