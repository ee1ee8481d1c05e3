// How deep a YAML text nests, before it is parsed whole: that recurses, and ends the process when the stack is full.
import { Lexer, Parser } from 'yaml'

/** The offset of the first collection that lies deeper than `depthMax` others; undefined where there is none. Linear. */
export function offsetOfTooDeep(text: string, depthMax: number): number | undefined {
  const parser = new Parser()
  for (const lexeme of new Lexer().lex(text)) {
    // What is complete is thrown away; what is open is on the parser's stack.
    Array.from(parser.next(lexeme))
    // The document, its collections, a scalar.
    if (parser.stack.length <= depthMax + 1) continue
    const collections = parser.stack.filter((token) => 'items' in token)
    if (collections.length > depthMax) return collections.at(-1)!.offset
  }
  return undefined
}
