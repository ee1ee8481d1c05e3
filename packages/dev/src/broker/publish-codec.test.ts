// Tests the encoding of the properties that the embedded broker forwards.
import { generate } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import type { Message } from './message.ts'
import { decodePublish, encodePublish } from './publish-codec.ts'

const USER_PROPERTIES = '26 0001 62 0000  26 0001 61 0001 31  26 0001 62 0001 32  26 0001 62 0000'

function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex')
}

function publish(properties: Buffer, payload = 'x'): Buffer {
  const body = Buffer.concat([
    bytes('0001 74 0007'),
    Buffer.from([properties.length]),
    properties,
    Buffer.from(payload),
  ])
  return Buffer.concat([Buffer.from([0x33, body.length]), body])
}

function passOn(packet: Buffer, version: 4 | 5, more: Partial<Message> = {}): Buffer {
  const publication = decodePublish(packet, 5)
  const message = { ...publication, bytes: 0, expiresAtMs: undefined, from: '', ...more }
  return Buffer.concat(
    encodePublish(
      { message, qos: 1, retain: true, subscriptionIdentifiers: [] },
      { version, messageId: 7, isRepeated: false },
    ),
  )
}

// MQTT 5 [MQTT-3.3.2-17], [MQTT-3.3.2-18], [MQTT-3.3.2-20]: user properties with mixed names and with empty
// values.
test.each([
  ['user properties in their order', USER_PROPERTIES],
  ['all other properties', `01 01 ${USER_PROPERTIES} 09 0002 00ff 03 0003 612f62 08 0001 72`],
])('forwards %s', (_what, hex) => {
  const packet = publish(bytes(hex))
  expect(passOn(packet, 5)).toEqual(packet)
})

test('forwards no properties to MQTT 3.1.1', () => {
  expect(passOn(publish(bytes(USER_PROPERTIES)), 4)).toEqual(bytes('33 06 0001 74 0007 78'))
})

test('encodes the remaining Message Expiry Interval and each Subscription Identifier', () => {
  const { messageExpiryInterval, ...publication } = decodePublish(publish(bytes('02 0000003c')), 5)
  expect(messageExpiryInterval).toBe(60)
  const message = { ...publication, bytes: 0, expiresAtMs: Date.now() - 1, from: '' }
  const target = { version: 5, messageId: 7, isRepeated: true } as const
  const packet = encodePublish(
    { message, qos: 1, retain: false, subscriptionIdentifiers: [1, 268_435_455] },
    target,
  )
  expect(Buffer.concat(packet)).toEqual(bytes('3a 13 0001 74 0007 0c 02 00000000 0b 01 0b ffffff7f 78'))
})

describe.each([0, 127, 128, 16_383, 16_384, 2_097_152])('a payload of %d bytes', (size) => {
  test.each([
    [5, 0],
    [5, 2],
    [4, 1],
  ] as const)('is encoded as mqtt-packet encodes it (protocol version %d, QoS %d)', (version, qos) => {
    const packet = { topic: 'a/ü', payload: Buffer.alloc(size, 'x'), qos, retain: false, dup: false }
    const expected = generate({ cmd: 'publish', messageId: 7, ...packet }, { protocolVersion: version })
    const message = { ...decodePublish(expected, version), bytes: 0, expiresAtMs: undefined, from: '' }
    const target = { version, messageId: 7, isRepeated: false }
    const chunks = encodePublish({ message, qos, retain: false, subscriptionIdentifiers: [] }, target)
    expect(Buffer.concat(chunks).equals(expected)).toBe(true)
    // Without sharing, a payload of 50 MiB would need 1,000 MiB for 20 subscribers.
    if (size > 100_000) expect(chunks).toContain(message.payload)
  })
})
