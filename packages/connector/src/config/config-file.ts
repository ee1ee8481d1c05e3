// Reads a configuration file as strict YAML of bounded size, and finds the line and column of each option.
import { closeSync, openSync, readSync } from 'node:fs'
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type Document,
  type Node,
  type Pair,
  type YAMLMap,
} from 'yaml'
import { ConfigError, type ConfigMistake } from './config-error.ts'
import { shownKey } from './shown.ts'
import { offsetOfTooDeep } from './yaml-depth.ts'

const FILE_BYTES_MAX = 1024 * 1024
// Limit on the nesting: options are at most six levels deep; a model's example may be deeper.
const DEPTH_MAX = 64
// Limit on aliases, because aliases that contain other aliases can expand a small file to a huge value.
const ALIASES_MAX = 50

/** A file that contains a map. Its options have not been validated. */
export interface ConfigFile {
  readonly values: Record<string, unknown>
  /** Returns `file:line:column` of the option, or of the innermost enclosing section that the file contains. */
  placeOf(path: readonly PropertyKey[]): string
}

/** Reads a file. @throws ConfigError if it cannot be read, or is not a YAML map */
export function readConfigFile(name: string): ConfigFile {
  const text = readText(name)
  refuseDepth(name, text)
  const lines = new LineCounter()
  const document = parse(name, text, lines)
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${name}:${line}:${col}`
  }
  const mistakes = structureMistakes(document, place)
  if (mistakes.length > 0) throw new ConfigError(mistakes)
  const offsetOf = placesOf(document)
  return {
    values: toValues(name, document),
    placeOf: (path) => {
      const offset = offsetOf(path)
      return offset === undefined ? name : place(offset)
    },
  }
}

function fail(name: string, message: string): ConfigError {
  return new ConfigError([{ path: '', source: name, message }])
}

function readText(name: string): string {
  let bytes: Buffer
  try {
    bytes = readAtMost(name, FILE_BYTES_MAX + 1)
  } catch (error) {
    const remedy = 'check the path in -c or INFERWIRE_CONFIG, and that this user may read the file'
    throw fail(name, `cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'}); ${remedy}`)
  }
  if (bytes.length > FILE_BYTES_MAX) {
    throw fail(name, `is larger than ${FILE_BYTES_MAX} bytes; is it a configuration?`)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw fail(name, 'is not UTF-8 text; is it a configuration?')
  }
}

// Does not rely on the size of the file, because pipes and devices have no size.
function readAtMost(name: string, bytesMax: number): Buffer {
  const descriptor = openSync(name, 'r')
  try {
    const buffer = Buffer.alloc(bytesMax)
    let length = 0
    for (;;) {
      const read = readSync(descriptor, buffer, length, bytesMax - length, null)
      if (read === 0) return buffer.subarray(0, length)
      length += read
    }
  } finally {
    closeSync(descriptor)
  }
}

function refuseDepth(name: string, text: string): void {
  const offset = offsetOfTooDeep(text, DEPTH_MAX)
  if (offset === undefined) return
  const before = text.slice(0, offset).split('\n')
  const source = `${name}:${before.length}:${before.at(-1)!.length + 1}`
  throw new ConfigError([{ path: '', source, message: `is nested deeper than ${DEPTH_MAX} levels` }])
}

function parse(name: string, text: string, lines: LineCounter): Document {
  try {
    return parseDocument(text, {
      lineCounter: lines,
      // An excerpt of the file in a message could show a secret.
      prettyErrors: false,
      // checkKeys finds duplicates in linear time; yaml would compare every pair of keys.
      uniqueKeys: false,
      merge: false,
      logLevel: 'error',
    })
  } catch {
    throw fail(name, 'is not valid YAML; is it a configuration?')
  }
}

function structureMistakes(document: Document, place: (offset: number) => string): ConfigMistake[] {
  const mistakes: ConfigMistake[] = []
  const add = (node: Node | undefined, message: string, path = ''): void => {
    mistakes.push({ path, source: place(node?.range?.[0] ?? 0), message })
  }
  for (const error of [...document.errors, ...document.warnings]) {
    mistakes.push({
      path: '',
      source: place(error.pos[0]),
      message: `is not valid YAML: ${reasonOf(error)}`,
    })
  }
  // The checks below need a tree that was parsed without errors.
  if (mistakes.length > 0) return mistakes
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) {
    add(undefined, 'is empty; write `{}` for a configuration with defaults only')
    return mistakes
  }
  if (!isMap(document.contents)) {
    add(document.contents, 'must contain a map of options, such as `broker:` and `models:`')
    return mistakes
  }
  visit(document, {
    Node: (_key, node, path) => {
      if (isMap(node)) checkKeys(node, add)
      if (isAlias(node) && path.some((around) => hasAnchor(around, node.source))) {
        add(node, `alias *${shownKey(node.source)} is inside its own anchor`)
        return visit.BREAK
      }
      return undefined
    },
  })
  return mistakes
}

// yaml's messages repeat parts of the file, which may contain control characters.
function reasonOf({ message }: Error): string {
  return message.slice(0, 200).replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '\ufffd')
}

function hasAnchor(node: unknown, anchor: string): boolean {
  return (isMap(node) || isSeq(node)) && node.anchor === anchor
}

function checkKeys(map: YAMLMap, add: (node: Node, message: string, path?: string) => void): void {
  const seen = new Set<string>()
  for (const { key } of map.items) {
    if (!isScalar(key)) {
      if (key !== null) add(key as Node, 'a key must be text')
      continue
    }
    const name = String(key.value)
    if (typeof key.value === 'number' && key.source !== undefined && key.source !== name) {
      add(key, `is read as a number; write the key in quotes: "${key.source}"`, shownKey(name))
    }
    if (name === '__proto__') add(key, 'cannot be a key', '"__proto__"')
    else if (seen.has(name)) add(key, 'is set twice; remove one of the two', shownKey(name))
    seen.add(name)
  }
}

function toValues(name: string, document: Document): Record<string, unknown> {
  try {
    return document.toJS({ maxAliasCount: ALIASES_MAX }) as Record<string, unknown>
  } catch (error) {
    throw fail(name, `cannot be read: ${reasonOf(error as Error)}`)
  }
}

// Follows the path as far as it exists in the file. Each map is indexed, because a file that is not a configuration may
// have a mistake on every line.
function placesOf(document: Document): (path: readonly PropertyKey[]) => number | undefined {
  const indexes = new Map<YAMLMap, ReadonlyMap<string, Pair>>()
  const indexOf = (map: YAMLMap): ReadonlyMap<string, Pair> => {
    const index = indexes.get(map) ?? new Map(map.items.map((pair) => [keyOf(pair), pair]))
    indexes.set(map, index)
    return index
  }
  return (path) => {
    let offset: number | undefined
    let node: unknown = document.contents
    for (const key of path) {
      const pair: Pair | undefined = isMap(node) ? indexOf(node).get(String(key)) : undefined
      const item: unknown = isSeq(node) ? node.items[Number(key)] : undefined
      const place = (pair?.key ?? item) as Node | null | undefined
      if (place === undefined || place === null) break
      offset = place.range?.[0] ?? offset
      node = pair === undefined ? item : pair.value
    }
    return offset
  }
}

function keyOf({ key }: Pair): string {
  return isScalar(key) ? String(key.value) : ''
}
