// How deep a YAML text nests, before it is composed: that recurses, and ends the process when the stack is full.
import { Parser, type CST } from 'yaml'

interface Nested {
  readonly token: CST.Token
  readonly depth: number
}

/** The offset of the first collection that lies deeper than `depthMax` others; undefined where there is none. Linear. */
export function offsetOfTooDeep(text: string, depthMax: number): number | undefined {
  const open: Nested[] = []
  for (const document of new Parser().parse(text)) {
    open.push({ token: document, depth: 0 })
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const { token, depth } = next
      if (token.type === 'document' && token.value !== undefined) open.push({ token: token.value, depth })
      if (!('items' in token)) continue
      if (depth === depthMax) return token.offset
      for (const { key, value } of token.items) {
        if (value !== undefined) open.push({ token: value, depth: depth + 1 })
        if (key !== undefined && key !== null) open.push({ token: key, depth: depth + 1 })
      }
    }
  }
  return undefined
}
