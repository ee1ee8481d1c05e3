import fc from 'fast-check'
import { generate } from 'mqtt-packet'
import { expect, test } from 'vitest'
import { toMqttProperties } from './mqtt-properties.ts'
import { publishPacketBytes } from './packet-size.ts'

test.each([5, 4] as const)(
  'computes the size of the packet that mqtt-packet writes (protocol version %i)',
  (version) => {
    const text = fc.string({ unit: 'binary', maxLength: 300 }).filter((value) => !value.includes('\0'))
    const message = fc.record({
      topic: text.filter((value) => value.length > 0),
      payload: fc.uint8Array({ maxLength: 20_000 }),
      properties: fc.record(
        {
          payloadFormatIndicator: fc.constant(1),
          messageExpiryInterval: fc.nat(),
          contentType: text,
          responseTopic: text,
          correlationData: fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
          userProperties: fc.array(fc.tuple(text, text), { maxLength: 5 }).map((pairs) => pairs.flat()),
        },
        { requiredKeys: [] },
      ),
    })
    fc.assert(
      fc.property(message, ({ topic, payload, properties }) => {
        const packet = generate(
          {
            cmd: 'publish',
            topic,
            payload: Buffer.from(payload),
            qos: 1,
            messageId: 1,
            dup: false,
            retain: false,
            properties: toMqttProperties(properties),
          },
          { protocolVersion: version },
        )
        expect(publishPacketBytes({ topic, payload, properties }, version)).toBe(packet.length)
      }),
      { numRuns: 200 },
    )
  },
)
