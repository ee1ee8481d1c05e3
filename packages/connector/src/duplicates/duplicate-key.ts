// Identifies a request by client, model, operation, Correlation Data or id, and body.
import { createCipheriv, hash, randomBytes } from 'node:crypto'
import type { Delivery, RequestName } from '../step.ts'

// For larger bodies, a cryptographic hash would cost as much as all other work for the request. GMAC (RFC 4543) is the
// fastest function in Node.js that covers every byte.
const DIGESTED_BYTES_MAX = 16 * 1024
// Large enough for the name, the Correlation Data and the body of nearly every request.
const scratch = Buffer.allocUnsafeSlow(DIGESTED_BYTES_MAX + 8 * 1024)

/**
 * Returns whether equal keys identify the same request. If a request has neither an id nor Correlation Data, equal
 * keys identify it only if the DUP flag is set.
 */
export function isNamed({ id, correlationData }: RequestName, { dup }: Pick<Delivery, 'dup'>): boolean {
  return id !== undefined || correlationData !== undefined || dup
}

/**
 * Returns the key of a request: 32 characters, one for each byte of a SHA-256 digest. The key covers the client, so
 * that no client can read another client's answer by guessing its Correlation Data. It covers the body, because devices
 * restart their counters after a reboot, and a different request may then have the same Correlation Data. A request
 * with neither an id nor Correlation Data is identified by its Packet Identifier, which does not change on redelivery.
 */
export function duplicateKey(
  name: RequestName,
  { packetId, payload }: Pick<Delivery, 'packetId' | 'payload'>,
): string {
  const { client, model, operation, id, correlationData } = name
  const isNameless = id === undefined && correlationData === undefined
  // No part contains a NUL, and only the last level can contain a "/", so the text is unambiguous.
  const text = `${client}/${model}/${operation}${isNameless ? `\0${packetId}` : id === undefined ? '' : `/${id}`}\0${correlationData?.length ?? '-'}\0`
  const body = bytesToDigest(payload)
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

// Known to no client, so that no client can construct two bodies with the same GMAC.
const secretKey = randomBytes(16)
const INITIALIZATION_VECTOR = Buffer.alloc(12)

/**
 * Returns the bytes that stand for a body in a digest: the body itself, or the GMAC of a large body, which differs in each
 * process.
 */
export function bytesToDigest(payload: Buffer): Buffer {
  return payload.length <= DIGESTED_BYTES_MAX ? payload : gmac(payload)
}

function gmac(bytes: Buffer): Buffer {
  const cipher = createCipheriv('aes-128-gcm', secretKey, INITIALIZATION_VECTOR)
  cipher.setAAD(bytes)
  cipher.final()
  return cipher.getAuthTag()
}
