// Draws a random sample of the repository's prose, for a reader who did not write it.
import { parseSync, Visitor } from 'oxc-parser'
import { Random } from '../fixtures/random.ts'
import type { SourceFile } from './check-sources.ts'

/** A piece of prose, with its location. */
export interface Piece {
  readonly path: string
  readonly line: number
  readonly text: string
  /** For a comment: the line of code that it stands beside or above. */
  readonly code?: string
}

/** The prose of a source file, by kind. */
export interface ProseKinds {
  readonly comments: readonly Piece[]
  /** Texts of logs, errors and output: literals that read like a sentence. */
  readonly messages: readonly Piece[]
  /** Test names as the test runner prints them: suites and test, separated by ` > `. */
  readonly testNames: readonly Piece[]
}

const COMMENT_MIN = 25
const TEST_CALLS = new Set(['test', 'it'])

/** Extracts the prose of a source file. @throws Error if the source does not parse */
export function kindsOf({ path, text }: SourceFile): ProseKinds {
  const { program, comments, errors } = parseSync(path, text)
  if (errors.length > 0) throw new Error(`${path} does not parse: ${errors[0]!.message}`)
  const piece = (start: number, words: string): Piece => ({
    path,
    line: text.slice(0, start).split('\n').length,
    text: words.trim(),
  })
  const isTest = path.endsWith('.test.ts')
  const messages: Piece[] = []
  const testNames: Piece[] = []
  const suites: string[] = []
  new Visitor({
    CallExpression({ callee, arguments: [first] }) {
      if (first?.type !== 'Literal' && first?.type !== 'TemplateLiteral') return
      const title = text.slice(first.start + 1, first.end - 1)
      const called = nameOf(callee)
      if (called === 'describe') suites.push(title)
      if (TEST_CALLS.has(called ?? '')) testNames.push(piece(first.start, [...suites, title].join(' > ')))
    },
    'CallExpression:exit'({ callee, arguments: [first] }) {
      const isTitled = first?.type === 'Literal' || first?.type === 'TemplateLiteral'
      if (isTitled && nameOf(callee) === 'describe') suites.pop()
    },
    Literal(node) {
      const { value, start } = node
      if (!isTest && typeof value === 'string' && isSentence(value)) messages.push(piece(start, value))
    },
    TemplateLiteral({ start, end }) {
      const words = text.slice(start, end)
      if (!isTest && isSentence(words)) messages.push(piece(start, words))
    },
  }).visit(program)
  return {
    comments: joined(comments, text).map(({ start, end, words }) => ({
      ...piece(start, words),
      code: codeBeside(text, start, end),
    })),
    messages,
    testNames,
  }
}

/** Returns `count` random items, or all items if there are fewer. */
export function sample<Item>(items: readonly Item[], count: number, random: Random): Item[] {
  const left = [...items]
  return Array.from(
    { length: Math.min(count, left.length) },
    () => left.splice(random.below(left.length), 1)[0]!,
  )
}

// In `test.each(table)('name', ...)` the callee is itself a call, of the member `each`.
function nameOf(callee: unknown): string | undefined {
  if (typeof callee !== 'object' || callee === null) return undefined
  const { name, callee: called, object } = callee as { name?: string; callee?: unknown; object?: unknown }
  return name ?? nameOf(called ?? object)
}

// Whether a text reads like a sentence. The full name of a test, as requirements cite it, does not count.
function isSentence(text: string): boolean {
  return /[A-Za-z]{2,} \S+ [a-z]/.test(text) && !text.includes(' > ') && text.split(' ').length >= 4
}

// Joins consecutive line comments into one text. Instructions to a linter are not prose.
function joined(
  comments: readonly { readonly value: string; readonly start: number; readonly end: number }[],
  text: string,
): Comment[] {
  const texts: Comment[] = []
  for (const { value, start, end } of comments) {
    const words = value.replace(/^\s*\*+ ?/gm, '').trim()
    const last = texts.at(-1)
    if (last !== undefined && /^\s*$/.test(text.slice(last.end, start)) && text[start + 1] === '/') {
      last.words += `\n${words}`
      last.end = end
    } else texts.push({ start, end, words })
  }
  return texts.filter(({ words }) => words.length >= COMMENT_MIN && !/^(?:eslint|oxlint|@ts)-/.test(words))
}

interface Comment {
  readonly start: number
  end: number
  words: string
}

// Returns the code on the same line before a comment; if there is none, the line below the comment.
function codeBeside(text: string, start: number, end: number): string {
  const before = text.slice(text.lastIndexOf('\n', start - 1) + 1, start).trim()
  return before === '' ? text.slice(end).trimStart().split('\n', 1)[0]! : before
}
