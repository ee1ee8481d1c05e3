// Reads a status message; any client with write access may have published it.
import { isJsonObject, type Json } from './body/json.ts'
import { utf8Decoder } from './body/utf8.ts'
import type { ConnectorStatus } from './card.ts'
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
  return {
    contract: typeof contract === 'number' ? contract : 1,
    connector,
    state,
    version: typeof version === 'string' ? version : '',
    timestamp,
    models: namesOf(json['models']),
    ...(notReady.length === 0 ? {} : { not_ready: notReady }),
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

function namesOf(value: unknown): string[] {
  if (!Array.isArray(value)) return []
  return value
    .slice(0, MODELS_MAX)
    .filter((name): name is string => typeof name === 'string' && isModelName(name))
}
