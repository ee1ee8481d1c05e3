// Loads a configuration: flags override environment variables, which override the file. Reports all mistakes at once.
import { hostname } from 'node:os'
import { isCleanLevel } from '@inferwire/protocol'
import type { z } from 'zod'
import { ConfigError, type ConfigMistake } from './config-error.ts'
import { readConfigFile } from './config-file.ts'
import { contradictions } from './contradictions.ts'
import { readEnvironment } from './environment.ts'
import { toMistakes, type SourceOf } from './issue-mistakes.ts'
import { unusableFiles } from './named-files.ts'
import { configSchema, type ConfigInput, type ConnectorConfig } from './schema.ts'
import { Secret } from './secret.ts'
import { shownPath } from './shown.ts'

/** The sources of a configuration. */
export interface ConfigSources {
  /** YAML (or JSON) file. */
  readonly file?: string | undefined
  /** @default process.env */
  readonly env?: Readonly<Record<string, string | undefined>>
  /**
   * Options from the command line, structured as in the file. A model or credential replaces the file's
   * one of the same name.
   */
  readonly flags?: ConfigInput
}

/** Loads and validates a configuration. @throws ConfigError with every mistake */
export function loadConfig(sources: ConfigSources): ConnectorConfig {
  const environment = readEnvironment(sources.env ?? process.env)
  const file = sources.file === undefined ? undefined : readConfigFile(sources.file)
  const values = file?.values ?? {}
  // The source of each option that is not from the file, so that mistakes are reported with their place.
  const origins = new Map<string, string>()
  for (const { path, value, variable } of environment.options) {
    assign(values, path, value)
    origins.set(path.join('.'), `environment variable ${variable}`)
  }
  const flagMistakes = mergeFlags(values, sources.flags ?? {}, [], origins)

  const sourceOf: SourceOf = (path) => originOf(path, origins) ?? file?.placeOf(path) ?? 'configuration'
  const parsed = configSchema.safeParse(values)
  const mistakes = [
    ...environment.mistakes,
    ...flagMistakes,
    ...(parsed.success
      ? contradictions(parsed.data, sourceOf)
      : parsed.error.issues.flatMap((issue) => toMistakes(issue, values, sourceOf))),
    ...unusableFiles(values, sourceOf),
  ]
  if (!parsed.success || mistakes.length > 0) throw new ConfigError(mistakes)
  return complete(parsed.data)
}

/**
 * Returns `file:line:column` of the option at a path of a file, or of the innermost enclosing section that the file
 * contains. @throws ConfigError if the file cannot be read
 */
export function placeInFile(file: string, path: readonly PropertyKey[]): string {
  return readConfigFile(file).placeOf(path)
}

/** Sets the value at a path. Does nothing if a section of the path is not a map, which the schema rejects. */
export function assign(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let section = target
  for (const key of path.slice(0, -1)) {
    section[key] ??= {}
    if (!isSection(section[key])) return
    section = section[key]
  }
  section[path.at(-1)!] = value
}

// An entry of these maps replaces the file's entry of the same name.
const BY_NAME = new Set(['models', 'credentials'])

function mergeFlags(
  target: Record<string, unknown>,
  flags: object,
  path: readonly string[],
  origins: Map<string, string>,
): ConfigMistake[] {
  const mistakes: ConfigMistake[] = []
  for (const [key, value] of Object.entries(flags)) {
    if (value === undefined) continue
    const here = [...path, key]
    // An assignment to this key would set the prototype, which zod does not check.
    if (key === '__proto__') {
      mistakes.push({ path: shownPath(here), source: 'command line', message: 'cannot be a key' })
      continue
    }
    const known = Object.hasOwn(target, key) ? target[key] : undefined
    if (isSection(value) && !BY_NAME.has(path[0] ?? '') && (known === undefined || isSection(known))) {
      const section = known ?? {}
      target[key] = section
      mistakes.push(...mergeFlags(section, value, here, origins))
    } else {
      target[key] = value
      origins.set(here.join('.'), 'command line')
    }
  }
  return mistakes
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Secret)
}

function originOf(path: readonly PropertyKey[], origins: ReadonlyMap<string, string>): string | undefined {
  for (let length = path.length; length > 0; length--) {
    const origin = origins.get(path.slice(0, length).map(String).join('.'))
    if (origin !== undefined) return origin
  }
  return undefined
}

function complete(config: z.output<typeof configSchema>): ConnectorConfig {
  const { name = cleanHostName(), broker, ...rest } = config
  const { url, clientId = `inferwire-${name}`, ...session } = broker
  return { name, broker: { url, clientId, ...session }, ...rest }
}

function cleanHostName(): string {
  const name = hostname()
  return isCleanLevel(name) ? name : 'connector'
}
