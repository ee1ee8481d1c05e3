// Reads a retained message on a card's topic. Its content is untrusted: any client with write access can publish it.
import { isJsonObject, parseJson, type Json, type JsonObject } from './body/json.ts'
import type { ModelState, TensorMetadata } from './card.ts'
import type { Dialect } from './dialect/index.ts'
import type { OperationName } from './operation.ts'
import { isModelName } from './topic.ts'

/**
 * A model card as read. The required members are present. An optional member is present only if it has the type that
 * this version expects, because the connector may use a newer contract. Unknown members are kept if their value can be
 * read (see `parseJson`).
 */
export interface ReceivedCard {
  readonly contract: number
  readonly name: string
  /** Contains at least one operation. A newer connector may offer operations that this version does not support. */
  readonly operations: readonly (OperationName | (string & {}))[]
  readonly default_operation?: OperationName | (string & {}) | undefined
  readonly protocol_versions?: readonly (Dialect | (string & {}))[] | undefined
  readonly description?: string | undefined
  readonly state?: ModelState | (string & {}) | undefined
  readonly reason?: string | undefined
  readonly connector?: string | undefined
  readonly platform?: string | undefined
  readonly versions?: readonly string[] | undefined
  readonly inputs?: readonly TensorMetadata[] | undefined
  readonly outputs?: readonly TensorMetadata[] | undefined
  readonly content_types?: readonly string[] | undefined
  readonly request_topic?: string | undefined
  readonly reply_topic?: string | undefined
  readonly limits?:
    | {
        readonly request_bytes_max?: number | undefined
        readonly response_bytes_max?: number | undefined
        readonly timeout_ms?: number | undefined
      }
    | undefined
  readonly example?: { readonly operation: OperationName | (string & {}); readonly body: unknown } | undefined
}

/** A card, or the reason why a message is not a card. */
export type CardReading =
  | { readonly card: ReceivedCard; readonly mistake?: undefined }
  | { readonly card?: undefined; readonly mistake: string }

/** Reads the message on the card topic of the model `name`. Numbers keep all their digits. */
export function readCard(name: string, payload: Uint8Array): CardReading {
  let value: Json
  try {
    // Members from a newer contract may exceed the limits of this version. Such members are omitted, and the rest of
    // the card is read.
    value = parseJson(payload, { leaveOut: true })
  } catch (error) {
    return { mistake: `it is not JSON (${error instanceof Error ? error.message : String(error)})` }
  }
  if (!isJsonObject(value)) return { mistake: 'it is not a JSON object' }
  const contract = numberOf(value['contract'])
  const operations = textsOf(value['operations'])
  if (contract === undefined || !Number.isInteger(contract) || contract < 1) {
    return { mistake: '"contract" is not a contract version' }
  }
  if (value['name'] !== name) return { mistake: '"name" is not the last level of its topic' }
  if (!isModelName(name)) return { mistake: '"name" is not a valid model name' }
  if (operations === undefined || operations.length === 0) {
    return { mistake: '"operations" is not a list of names' }
  }
  return { card: { ...value, contract, name, operations, ...optionalMembers(value) } }
}

// A member of the wrong type becomes undefined, because the rest of the card is still useful.
function optionalMembers(card: JsonObject): Omit<ReceivedCard, 'contract' | 'name' | 'operations'> {
  const { limits, example } = card
  return {
    default_operation: textOf(card['default_operation']),
    protocol_versions: textsOf(card['protocol_versions']),
    description: textOf(card['description']),
    state: textOf(card['state']),
    reason: textOf(card['reason']),
    connector: textOf(card['connector']),
    platform: textOf(card['platform']),
    versions: textsOf(card['versions']),
    inputs: listOf(card['inputs'], tensorOf),
    outputs: listOf(card['outputs'], tensorOf),
    content_types: textsOf(card['content_types']),
    request_topic: textOf(card['request_topic']),
    reply_topic: textOf(card['reply_topic']),
    limits: isJsonObject(limits) ? limitsOf(limits) : undefined,
    example: isJsonObject(example) ? exampleOf(example) : undefined,
  }
}

function limitsOf(limits: JsonObject): ReceivedCard['limits'] {
  return {
    ...limits,
    request_bytes_max: numberOf(limits['request_bytes_max']),
    response_bytes_max: numberOf(limits['response_bytes_max']),
    timeout_ms: numberOf(limits['timeout_ms']),
  }
}

function exampleOf({ operation, body }: JsonObject): ReceivedCard['example'] {
  const name = textOf(operation)
  return name === undefined || body === undefined ? undefined : { operation: name, body }
}

function tensorOf(value: Json): TensorMetadata | undefined {
  if (!isJsonObject(value)) return undefined
  const name = textOf(value['name'])
  const datatype = textOf(value['datatype'])
  const shape = listOf(value['shape'], numberOf)
  if (name === undefined || datatype === undefined || shape === undefined) return undefined
  return { ...value, name, datatype, shape }
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function numberOf(value: Json | undefined): number | undefined {
  return typeof value === 'number' ? value : undefined
}

function textsOf(value: Json | undefined): string[] | undefined {
  return listOf(value, textOf)
}

// A list with an invalid entry is omitted as a whole, because without that entry the list would have a different
// meaning.
function listOf<T>(value: Json | undefined, entryOf: (entry: Json) => T | undefined): T[] | undefined {
  if (!Array.isArray(value)) return undefined
  const entries = value.flatMap((entry) => entryOf(entry) ?? [])
  return entries.length === value.length ? entries : undefined
}
