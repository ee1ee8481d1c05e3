// Reads options from environment variables, such as INFERWIRE_BROKER_URL for broker.url.
import { nearestName } from '@inferwire/protocol'
import type { ConfigMistake } from './config-error.ts'
import { RENAMED_OPTIONS } from './renamed-options.ts'
import { definitionOf, leavesOf, unwrap, type Leaf } from './schema-walk.ts'
import { configSchema } from './schema.ts'
import { Secret } from './secret.ts'
import { shownKey } from './shown.ts'

const PREFIX = 'INFERWIRE_'
// INFERWIRE_CONFIG is the path of the configuration file. INFERWIRE_CACHE is the cache of the project's own tests.
const NOT_OPTIONS = new Set(['INFERWIRE_CONFIG', 'INFERWIRE_CACHE'])

/** Returns the name of the environment variable for an option. */
export function variableOf(path: readonly string[]): string {
  return PREFIX + path.map((key) => key.replaceAll(/([a-z])([A-Z])/g, '$1_$2').toUpperCase()).join('_')
}

// Sections whose keys are names or list items; a variable cannot set them.
const FILE_ONLY = new Set(['models', 'discovery', 'credentials', 'policy'])

/** Returns the options outside of these sections, keyed by the name of their environment variable. */
export function environmentOptions(): Map<string, Leaf> {
  const leaves = leavesOf(configSchema).filter(({ path }) => !FILE_ONLY.has(path[0] ?? ''))
  return new Map(leaves.map((leaf) => [variableOf(leaf.path), leaf]))
}

/** The options set by environment variables, and the mistakes in these variables. */
export interface FromEnvironment {
  readonly options: readonly {
    readonly path: readonly string[]
    readonly value: unknown
    readonly variable: string
  }[]
  readonly mistakes: readonly ConfigMistake[]
}

/**
 * Reads the variables that begin with INFERWIRE_. An unknown variable is reported as a mistake, because it would have
 * no effect.
 */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): FromEnvironment {
  const known = environmentOptions()
  const options: { path: readonly string[]; value: unknown; variable: string }[] = []
  const mistakes: ConfigMistake[] = []
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith(PREFIX) || NOT_OPTIONS.has(variable) || text === undefined) continue
    if (isServiceLink(variable, text)) continue
    const leaf = known.get(variable)
    if (leaf === undefined) {
      mistakes.push({
        path: '',
        source: `environment variable ${shownKey(variable)}`,
        message: unknownVariable(variable, known),
      })
      continue
    }
    options.push({
      path: leaf.path,
      variable,
      value: leaf.text.isSecret === true ? new Secret(text) : coerce(text, leaf),
    })
  }
  return { options, mistakes }
}

function unknownVariable(variable: string, known: ReadonlyMap<string, Leaf>): string {
  const renamed = RENAMED_OPTIONS.find(({ section, before }) => variableIn(section, before) === variable)
  if (renamed !== undefined) {
    return `is now ${variableIn(renamed.section, renamed.now)}${renamed.remark ?? ''}`
  }
  const nearest = nearestName(variable, known.keys())
  return `is not an option; ${nearest === undefined ? 'see `inferwire config schema`' : `did you mean ${nearest}?`}`
}

function variableIn(section: string, key: string): string {
  return variableOf([...section.split('.'), key])
}

// Kubernetes sets such variables for each Service in the namespace. For a Service named `inferwire-admin` they are
// INFERWIRE_ADMIN_SERVICE_HOST and INFERWIRE_ADMIN_PORT=tcp://10.0.0.1:8383; the latter is also an option's variable.
function isServiceLink(variable: string, text: string): boolean {
  return (
    /_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$/.test(
      variable,
    ) ||
    (variable.endsWith('_PORT') && /^(?:tcp|udp|sctp):\/\//.test(text))
  )
}

// Text that cannot be converted to the option's type is returned unchanged, and the schema rejects it.
function coerce(text: string, leaf: Leaf): unknown {
  const { type, values } = definitionOf(unwrap(leaf.schema))
  const isNumeric = type === 'number' || values?.some((value) => typeof value === 'number') === true
  if (isNumeric && /^-?\d+$/.test(text)) return Number(text)
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true'
  return text
}
