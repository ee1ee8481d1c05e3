// What makes two requests the same one: client, model, operation, Correlation Data or id, and the bytes of the body.
import { hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { RequestName } from './running-requests.ts'

/** What of a delivery belongs to the key. */
export interface KeyedDelivery {
  readonly packetId: number
  readonly dup: boolean
  readonly payload: Buffer
}

// Above this, a cryptographic hash would cost as much as the rest of the request.
const DIGEST_BYTES_MAX = 16 * 1024

/**
 * The key of a request. The client is part of it: without, one could read another's answer by guessing a counter.
 * Without Correlation Data and id only the broker's own redelivery can be known again, by its Packet Identifier.
 */
export class DuplicateKey {
  readonly text: string
  /** Whether an earlier request with this key is the same one. */
  readonly canBeKnown: boolean

  constructor({ client, model, operation, id, correlationData }: RequestName, delivery: KeyedDelivery) {
    const isNamed = id !== undefined || correlationData !== undefined
    const identity = isNamed
      ? `${id ?? ''}\0${correlationData === undefined ? '' : latin1(correlationData)}`
      : `#${delivery.packetId}`
    this.canBeKnown = isNamed || delivery.dup
    // No level but the last part holds a "/", and none a NUL.
    this.text = `${client}/${model}/${operation}/${identity}\0${fingerprint(delivery.payload)}`
  }
}

// Devices count from the start again after a reboot: the same Correlation Data with another body is another request.
function fingerprint(payload: Buffer): string {
  if (payload.length <= DIGEST_BYTES_MAX) return hash('sha1', payload, 'binary')
  return `${payload.length}:${crc32(payload)}`
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}
