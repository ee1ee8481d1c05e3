// A request read from disk: it behaves like a redelivery by the broker, and settling it removes its file.
import type { MessageProperties } from '@inferwire/protocol'
import type { Delivery } from '../step.ts'

const NO_PAYLOAD = Buffer.alloc(0)
const STORAGE = {}

/** The JSON of a stored request. Times are wall-clock times, because the monotonic clock restarts with each process. */
interface Record {
  readonly topic: string
  readonly packetId: number
  readonly receivedAt: number
  readonly properties: Omit<MessageProperties, 'correlationData'>
  readonly correlationData?: string
  readonly payload: string
}

/** A delivery that represents a stored request. */
export class KeptDelivery implements Delivery {
  readonly topic: string
  payload: Buffer
  readonly payloadBytes: number
  readonly propertyBytes: number
  readonly isWhole = true
  readonly qos = 1
  readonly retain = false
  /** Always true, because the process that received the request may have executed it. */
  readonly dup = true
  readonly packetId: number
  properties: MessageProperties
  readonly receivedAtMs: number
  isReleased = false
  readonly connection = STORAGE
  /** A stored request is never lost with a connection. */
  readonly isLost = false
  readonly redelivery = undefined
  readonly #remove: () => void
  #isSettled = false

  constructor(record: Record, remove: () => void) {
    const { topic, packetId, receivedAt, properties, correlationData, payload } = record
    this.topic = topic
    this.packetId = packetId
    this.payload = Buffer.from(payload, 'base64')
    this.payloadBytes = this.payload.length
    this.propertyBytes = JSON.stringify(properties).length + (correlationData?.length ?? 0)
    this.properties =
      correlationData === undefined
        ? properties
        : { ...properties, correlationData: Buffer.from(correlationData, 'base64') }
    this.receivedAtMs = performance.now() - Math.max(0, Date.now() - receivedAt)
    this.#remove = remove
  }

  sharePayload(payload: Buffer): void {
    this.payload = payload
  }

  recycle(): void {
    this.release()
  }

  release(): void {
    this.isReleased = true
    this.payload = NO_PAYLOAD
    this.properties = {}
  }

  settle(): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.#remove()
  }
}

/** Encodes a request as the text of its file. */
export function writeKept({ topic, packetId, receivedAtMs, properties, payload }: Delivery): string {
  const { correlationData, ...others } = properties
  const record: Record = {
    topic,
    packetId,
    receivedAt: Math.round(Date.now() - (performance.now() - receivedAtMs)),
    properties: others,
    ...(correlationData === undefined
      ? {}
      : { correlationData: Buffer.from(correlationData).toString('base64') }),
    payload: payload.toString('base64'),
  }
  return JSON.stringify(record)
}

/** Decodes the text of a file. @throws Error for a text that is not a stored request. */
export function readKept(text: string, remove: () => void): KeptDelivery {
  const record = JSON.parse(text) as Partial<Record> | null
  const isWhole =
    typeof record?.topic === 'string' &&
    Number.isInteger(record.packetId) &&
    Number.isFinite(record.receivedAt) &&
    typeof record.payload === 'string' &&
    isProperties(record.properties) &&
    (record.correlationData === undefined || typeof record.correlationData === 'string')
  if (!isWhole) throw new Error('The file does not have all members of a stored request.')
  return new KeptDelivery(record as Record, remove)
}

function isProperties(value: unknown): value is MessageProperties {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const { payloadFormatIndicator, messageExpiryInterval, contentType, responseTopic, userProperties } =
    value as { [Key in keyof MessageProperties]: unknown }
  return (
    isOptional(payloadFormatIndicator, 'number') &&
    isOptional(messageExpiryInterval, 'number') &&
    isOptional(contentType, 'string') &&
    isOptional(responseTopic, 'string') &&
    (userProperties === undefined ||
      (Array.isArray(userProperties) && userProperties.every((text) => typeof text === 'string')))
  )
}

function isOptional(value: unknown, type: 'number' | 'string'): boolean {
  return value === undefined || typeof value === type
}
