// Checks the nesting depth of a YAML text before it is parsed, because the parser is recursive, and a stack overflow
// would end the process.
import { Lexer, Parser } from 'yaml'

/**
 * Returns the offset of the first collection that is nested in more than `depthMax` others, or undefined. Takes linear
 * time.
 */
export function offsetOfTooDeep(text: string, depthMax: number): number | undefined {
  const parser = new Parser()
  for (const lexeme of new Lexer().lex(text)) {
    // Complete tokens are discarded; incomplete tokens are on the parser's stack.
    Array.from(parser.next(lexeme))
    // The stack contains the document, its open collections and at most one scalar.
    if (parser.stack.length <= depthMax + 1) continue
    const collections = parser.stack.filter((token) => 'items' in token)
    if (collections.length > depthMax) return collections.at(-1)!.offset
  }
  return undefined
}
