// Reads a status message; any client with write access may have published it.
import { isJsonObject, type Json } from './body/json.ts'
import { utf8Decoder } from './body/utf8.ts'
import type { ConnectorStatus, DiscoveryStatus } from './card.ts'
import { isModelName } from './topic.ts'

// Maximum number of models in a status, far above any real number. A longer list would only waste memory.
const MODELS_MAX = 10_000
// Maximum timestamp of a status. Connectors use only timestamps well below this maximum, so that a newer connector
// can always use a later timestamp than an older one.
const TIMESTAMP_MAX = Date.UTC(2101, 0)
const STATES: readonly string[] = ['online', 'draining', 'offline'] satisfies ConnectorStatus['state'][]

/** Parses a status; undefined if the payload is not a status. Ignores unknown members, and omits invalid names. */
export function readStatus(connector: string, payload: Uint8Array): ConnectorStatus | undefined {
  const json = parsed(payload)
  if (!isJsonObject(json)) return undefined
  const { contract, state, version, timestamp, share } = json
  if (!isState(state) || !isTimestamp(timestamp)) return undefined
  const notReady = namesOf(json['not_ready'])
  const discovery = discoveryOf(json['discovery'])
  return {
    contract: typeof contract === 'number' ? contract : 1,
    connector,
    state,
    version: typeof version === 'string' ? version : '',
    timestamp,
    models: namesOf(json['models']),
    ...(notReady.length === 0 ? {} : { not_ready: notReady }),
    ...(discovery === undefined ? {} : { discovery }),
    ...(typeof share === 'string' ? { share } : {}),
  }
}

function parsed(payload: Uint8Array): Json | undefined {
  try {
    return JSON.parse(utf8Decoder()(payload)) as Json
  } catch {
    return undefined
  }
}

function isState(value: unknown): value is ConnectorStatus['state'] {
  return typeof value === 'string' && STATES.includes(value)
}

function isTimestamp(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= TIMESTAMP_MAX
}

function discoveryOf(value: Json | undefined): DiscoveryStatus | undefined {
  if (!isJsonObject(value)) return undefined
  const { namespaces, default_namespace: defaultNamespace } = value
  const aliases = namesOf(value['aliases'])
  return {
    namespaces: Array.isArray(namespaces)
      ? namespaces
          .slice(0, MODELS_MAX)
          .filter((name): name is string => typeof name === 'string' && isNamespace(name))
      : [],
    ...(typeof defaultNamespace === 'string' && isNamespace(defaultNamespace)
      ? { default_namespace: defaultNamespace }
      : {}),
    ...(aliases.length === 0 ? {} : { aliases }),
    ready: countOf(value['ready']),
    not_ready: countOf(value['not_ready']),
    stopped: countOf(value['stopped']),
    refused: countOf(value['refused']),
  }
}

function isNamespace(text: string): boolean {
  return text === '*' || /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text)
}

function countOf(value: Json | undefined): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0
}

function namesOf(value: unknown): string[] {
  if (!Array.isArray(value)) return []
  return value
    .slice(0, MODELS_MAX)
    .filter((name): name is string => typeof name === 'string' && isModelName(name))
}
