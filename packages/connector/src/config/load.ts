// Reads a configuration: file, then environment, then command line; later ones win. All mistakes come at once.
import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { isCleanLevel, nearestName } from '@inferwire/protocol'
import { isMap, isScalar, LineCounter, parseDocument, type Document, type Node } from 'yaml'
import type { z } from 'zod'
import { ConfigError, type ConfigMistake } from './config-error.ts'
import { readEnvironment } from './environment.ts'
import { keysAt, leavesOf } from './schema-walk.ts'
import { configSchema, type ConfigInput, type ConnectorConfig } from './schema.ts'
import { Secret } from './secret.ts'

/** Where a configuration comes from. */
export interface ConfigSources {
  /** YAML (or JSON) file. */
  readonly file?: string | undefined
  /** @default process.env */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** What the command line says, in the shape of the file. */
  readonly flags?: ConfigInput
}

const FILE_BYTES_MAX = 1024 * 1024

interface SourceFile {
  readonly name: string
  readonly document: Document
  readonly lines: LineCounter
}

/** @throws ConfigError with every mistake. */
export function loadConfig(sources: ConfigSources): ConnectorConfig {
  const file = sources.file === undefined ? undefined : readFile(sources.file)
  const environment = readEnvironment(sources.env ?? process.env)
  const mistakes: ConfigMistake[] = [...environment.mistakes]
  const values =
    file === undefined ? {} : (file.document.toJS({ maxAliasCount: 50 }) as Record<string, unknown>)
  // Which paths did not come from the file, so that a mistake is told where it was made.
  const origins = new Map<string, string>()
  for (const { path, value, variable } of environment.options) {
    assign(values, path, value)
    origins.set(path.join('.'), `environment variable ${variable}`)
  }
  mergeFlags(values, sources.flags ?? {}, [], origins)

  const sourceOf = (path: readonly PropertyKey[]): string => originOf(path, origins) ?? placeOf(path, file)
  const parsed = configSchema.safeParse(values)
  if (!parsed.success) {
    mistakes.push(...parsed.error.issues.flatMap((issue) => toMistakes(issue, values, sourceOf)))
    throw new ConfigError(mistakes)
  }
  mistakes.push(...contradictions(parsed.data, sourceOf), ...unreadableFiles(parsed.data, sourceOf))
  if (mistakes.length > 0) throw new ConfigError(mistakes)
  return complete(parsed.data)
}

function readFile(name: string): SourceFile {
  const fail = (message: string): ConfigError => new ConfigError([{ path: '', source: name, message }])
  let text: string
  try {
    if (statSync(name).size > FILE_BYTES_MAX) throw fail(`is larger than ${FILE_BYTES_MAX} bytes`)
    text = readFileSync(name, 'utf8')
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw fail(`cannot be read: ${(error as Error).message}`)
  }
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
    merge: false,
  })
  if (document.errors.length > 0) {
    throw new ConfigError(
      document.errors.map((error) => {
        const { line, col } = lines.linePos(error.pos[0])
        return { path: '', source: `${name}:${line}:${col}`, message: `is not valid YAML: ${error.message}` }
      }),
    )
  }
  const { contents } = document
  if (contents !== null && !isMap(contents) && !(isScalar(contents) && contents.value === null)) {
    throw fail('must hold a map of options, such as `broker:` and `models:`')
  }
  if (contents === null || isScalar(contents)) return { name, document: parseDocument('{}'), lines }
  try {
    // Aliases can make a small file huge.
    const value: unknown = document.toJS({ maxAliasCount: 50 })
    if (hasForbiddenKey(value)) throw new Error('the key "__proto__" is not allowed')
  } catch (error) {
    throw fail(`cannot be used: ${(error as Error).message}`)
  }
  return { name, document, lines }
}

function hasForbiddenKey(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([key, inner]) => key === '__proto__' || hasForbiddenKey(inner))
}

function mergeFlags(
  target: Record<string, unknown>,
  flags: object,
  path: readonly string[],
  origins: Map<string, string>,
): void {
  for (const [key, value] of Object.entries(flags)) {
    if (value === undefined) continue
    const here = [...path, key]
    const isSection =
      typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Secret)
    if (isSection && path[0] !== 'models') {
      const section = target[key]
      if (typeof section !== 'object' || section === null) target[key] = {}
      mergeFlags(target[key] as Record<string, unknown>, value as object, here, origins)
    } else {
      target[key] = value
      origins.set(here.join('.'), 'command line')
    }
  }
}

function assign(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let section = target
  for (const key of path.slice(0, -1)) {
    const next = section[key]
    if (typeof next !== 'object' || next === null) section[key] = {}
    section = section[key] as Record<string, unknown>
  }
  section[path.at(-1)!] = value
}

function toMistakes(
  issue: z.core.$ZodIssue,
  values: unknown,
  sourceOf: (path: readonly PropertyKey[]) => string,
): ConfigMistake[] {
  const path = issue.path.map(String).join('.')
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const keys = keysAt(configSchema, issue.path)
      const nearest = nearestName(key, keys)
      const hint = nearest === undefined ? `valid are: ${keys.join(', ')}` : `did you mean "${nearest}"?`
      const here = [...issue.path, key]
      return {
        path: here.map(String).join('.'),
        source: sourceOf(here),
        message: `is not an option; ${hint}`,
      }
    })
  }
  // The name of a model is a key: its mistake is inside.
  if (issue.code === 'invalid_key') {
    return [
      {
        path,
        source: sourceOf(issue.path),
        message: `expected ${issue.issues[0]?.message ?? 'another name'}`,
      },
    ]
  }
  const value = valueAt(values, issue.path)
  const expected = issue.message.replace(/^Invalid (?:input|option): /, '').replace(/^expected /, '')
  const got = value === undefined ? 'is missing' : `${shown(value)} is not valid`
  return [{ path, source: sourceOf(issue.path), message: `${got}; expected ${expected}` }]
}

function shown(value: unknown): string {
  const text = value instanceof Secret ? '***' : (JSON.stringify(value) ?? String(value))
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}

function valueAt(values: unknown, path: readonly PropertyKey[]): unknown {
  let value = values
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<PropertyKey, unknown>)[key]
  }
  return value
}

function originOf(path: readonly PropertyKey[], origins: ReadonlyMap<string, string>): string | undefined {
  for (let length = path.length; length > 0; length--) {
    const origin = origins.get(path.slice(0, length).map(String).join('.'))
    if (origin !== undefined) return origin
  }
  return undefined
}

// file:line:column of the value, or of the nearest thing around it that is written down.
function placeOf(path: readonly PropertyKey[], file: SourceFile | undefined): string {
  if (file === undefined) return 'configuration'
  for (let length = path.length; length > 0; length--) {
    const parent =
      length === 1 ? file.document.contents : file.document.getIn(path.slice(0, length - 1), true)
    if (!isMap(parent)) {
      const node = file.document.getIn(path.slice(0, length), true) as Node | undefined
      if (node?.range) return position(file, node.range[0])
      continue
    }
    const pair = parent.items.find(
      ({ key }) => isScalar(key) && String(key.value) === String(path[length - 1]),
    )
    const key = pair?.key as Node | undefined
    if (key?.range) return position(file, key.range[0])
  }
  return file.name
}

function position(file: SourceFile, offset: number): string {
  const { line, col } = file.lines.linePos(offset)
  return `${file.name}:${line}:${col}`
}

type Parsed = z.output<typeof configSchema>

// What a schema of single options cannot see.
function contradictions(config: Parsed, sourceOf: (path: readonly PropertyKey[]) => string): ConfigMistake[] {
  const mistakes: ConfigMistake[] = []
  const add = (path: string[], message: string): void => {
    mistakes.push({ path: path.join('.'), source: sourceOf(path), message })
  }
  const { broker, models } = config
  if (broker.password !== undefined && broker.passwordFile !== undefined) {
    add(
      ['broker', 'passwordFile'],
      'the password is given twice: by this file and by INFERWIRE_BROKER_PASSWORD',
    )
  }
  if ((broker.password ?? broker.passwordFile) !== undefined && broker.username === undefined) {
    add(['broker', 'username'], 'is missing; a password needs a user name')
  }
  if (broker.reconnect.minMs > broker.reconnect.maxMs) add(['broker', 'reconnect', 'minMs'], 'is above maxMs')
  for (const [path, { certFile, keyFile }] of [
    [['broker', 'tls'], broker.tls] as const,
    ...Object.entries(models).map(([name, { tls }]) => [['models', name, 'tls'], tls] as const),
  ]) {
    if ((certFile === undefined) !== (keyFile === undefined))
      add([...path], 'certFile and keyFile belong together')
  }
  for (const [name, model] of Object.entries(models)) {
    if (model.versions.length > 0 && model.protocol === 'v1') {
      add(['models', name, 'versions'], 'V1 has no versions; leave them out, or use protocol v2')
    }
  }
  return mistakes
}

function unreadableFiles(
  config: Parsed,
  sourceOf: (path: readonly PropertyKey[]) => string,
): ConfigMistake[] {
  const paths = leavesOf(configSchema)
    .filter(({ text }) => text.isFile === true)
    .map(({ path }) => [...path])
  for (const [name, model] of Object.entries(config.models)) {
    paths.push(...(['caFile', 'certFile', 'keyFile'] as const).map((key) => ['models', name, 'tls', key]))
    if (model.credential.kind === 'token-file') paths.push(['models', name, 'credential', 'file'])
    if (model.credential.kind === 'static-header') paths.push(['models', name, 'credential', 'valueFile'])
  }
  return paths.flatMap((path) => {
    const file = valueAt(config, path)
    if (typeof file !== 'string') return []
    try {
      accessSync(file, constants.R_OK)
      if (!statSync(file).isDirectory()) return []
      return [
        { path: path.join('.'), source: sourceOf(path), message: `"${file}" is a folder; expected a file` },
      ]
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const why = code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`
      return [
        {
          path: path.join('.'),
          source: sourceOf(path),
          message: `file "${file}" ${why}; check the path and the rights of this user`,
        },
      ]
    }
  })
}

function complete(config: Parsed): ConnectorConfig {
  const name = config.name ?? cleanHostName()
  return {
    ...config,
    name,
    broker: { ...config.broker, clientId: config.broker.clientId ?? `inferwire-${name}` },
  }
}

function cleanHostName(): string {
  const name = hostname()
  return isCleanLevel(name) ? name : 'connector'
}
