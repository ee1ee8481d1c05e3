// Finds all imports of a TypeScript source: static, type-only, re-exported and dynamic.
import { parseSync } from 'oxc-parser'

/** One import of one file. */
export interface FoundImport {
  /** Module name as written; undefined if it is computed at run time. */
  readonly specifier: string | undefined
  readonly isDynamic: boolean
}

/** Returns all imports of a source. @throws Error if the source does not parse */
export function findImports(path: string, source: string): FoundImport[] {
  const { program, errors } = parseSync(path, source)
  if (errors.length > 0) throw new Error(`${path} does not parse: ${errors[0]!.message}`)
  const found: FoundImport[] = []
  collect(program, found)
  return found
}

// Searches the whole tree, because `import()` and `import('…').Type` may be anywhere.
function collect(node: unknown, found: FoundImport[]): void {
  if (Array.isArray(node)) {
    for (const child of node) collect(child, found)
    return
  }
  if (typeof node !== 'object' || node === null) return
  const known = importOf(node as Node)
  if (known !== undefined) found.push(known)
  for (const child of Object.values(node)) collect(child, found)
}

type Node = Readonly<Record<string, unknown>>

function importOf(node: Node): FoundImport | undefined {
  switch (node['type']) {
    case 'ImportDeclaration':
    case 'ExportAllDeclaration':
    case 'TSImportType':
      return { specifier: textOf(node['source']), isDynamic: false }
    case 'ExportNamedDeclaration':
      return node['source'] === null ? undefined : { specifier: textOf(node['source']), isDynamic: false }
    case 'TSExternalModuleReference':
      return { specifier: textOf(node['expression']), isDynamic: false }
    case 'ImportExpression':
      return { specifier: textOf(node['source']), isDynamic: true }
    case 'CallExpression':
      return isRequire(node['callee'])
        ? { specifier: textOf((node['arguments'] as unknown[])[0]), isDynamic: false }
        : undefined
    default:
      return undefined
  }
}

function isRequire(callee: unknown): boolean {
  const { type, name } = callee as Node
  return type === 'Identifier' && name === 'require'
}

function textOf(node: unknown): string | undefined {
  const { type, value, quasis, expressions } = (node ?? {}) as Node
  if (type === 'Literal') return String(value)
  if (type !== 'TemplateLiteral' || (expressions as unknown[]).length > 0) return undefined
  return ((quasis as Node[])[0]!['value'] as { cooked: string }).cooked
}
