// What makes two requests the same one: client, model, operation, Correlation Data or id, and the bytes of the body.
import { hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Delivery, RequestName } from '../step.ts'

// Above this, a cryptographic hash would cost as much as the rest of the request.
const DIGESTED_BYTES_MAX = 16 * 1024
// Name, Correlation Data and body of nearly every request fit.
const scratch = Buffer.allocUnsafeSlow(DIGESTED_BYTES_MAX + 8 * 1024)

/** Whether an equal key means the same request: without any name of its own, only the broker can tell (DUP). */
export function isNamed({ id, correlationData }: RequestName, { dup }: Pick<Delivery, 'dup'>): boolean {
  return id !== undefined || correlationData !== undefined || dup
}

/**
 * The key of a request: 32 characters, one per byte of a SHA-256. The client is part of it: without, one could read
 * another's answer by guessing a counter. So is the body: devices count from the start again after a reboot, and the
 * same Correlation Data with another body is another request. A request without any name has its Packet Identifier as
 * name, by which the broker's own redelivery is known again.
 */
export function duplicateKey(
  name: RequestName,
  { packetId, payload }: Pick<Delivery, 'packetId' | 'payload'>,
): string {
  const { client, model, operation, id, correlationData } = name
  const isNameless = id === undefined && correlationData === undefined
  // No part holds a NUL, and no level but the last a "/".
  const text = `${client}/${model}/${operation}${isNameless ? `\0${packetId}` : id === undefined ? '' : `/${id}`}\0${correlationData?.length ?? '-'}\0`
  const isDigested = payload.length <= DIGESTED_BYTES_MAX
  const body = isDigested ? payload : Buffer.from(`${payload.length} ${crc32(payload)}`)
  const bytesMax = 3 * text.length + (correlationData?.length ?? 0) + body.length
  const bytes = bytesMax <= scratch.length ? scratch : Buffer.allocUnsafeSlow(bytesMax)
  let length = bytes.write(text)
  if (correlationData !== undefined) {
    bytes.set(correlationData, length)
    length += correlationData.length
  }
  bytes.set(body, length)
  return hash('sha256', bytes.subarray(0, length + body.length), 'binary')
}
