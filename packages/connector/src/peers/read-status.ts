// Reads a status message; any client with write access may have published it.
import { isJsonObject, isModelName, type ConnectorStatus, type Json } from '@inferwire/protocol'

// Far above any real number of models; more would only fill the memory.
const MODELS_MAX = 10_000
/**
 * The latest birth for which a successor publishes a later one, in milliseconds since the epoch. An absolute time,
 * because our own clock may have been set back by decades. A later birth would make the successor's status unreadable
 * for all connectors.
 */
export const BIRTH_MAX = Date.UTC(2100, 0)
// Leaves room for the births of successors, each of which is at least a millisecond later.
const TIMESTAMP_MAX = Date.UTC(2101, 0)
const STATES: readonly string[] = ['online', 'draining', 'offline'] satisfies ConnectorStatus['state'][]

/** Parses a status; undefined if the payload is not one. Unknown members are ignored, and invalid names left out. */
export function readStatus(connector: string, payload: Buffer): ConnectorStatus | undefined {
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

function parsed(payload: Buffer): Json | undefined {
  try {
    return JSON.parse(payload.toString()) as Json
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
