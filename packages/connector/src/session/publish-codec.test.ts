// Checks the decoder against mqtt-packet's encoder, and the encoder against mqtt-packet's parser.
import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { generate, parser, type IPublishPacket } from 'mqtt-packet'
import { expect, test } from 'vitest'
import { FrameReader, type Frame } from './frame-reader.ts'
import { MalformedPacket } from './malformed.ts'
import { PacketWriter } from './packet-writer.ts'
import { decodePublish } from './publish-decoder.ts'
import { DUP, encodePublish, publishPacketBytes, type OutgoingMessage } from './publish-encoder.ts'

const topicText = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  .filter((text) => !/[+#\0]/.test(text))
const properties = fc.record(
  {
    payloadFormatIndicator: fc.constantFrom(0, 1),
    messageExpiryInterval: fc.integer({ min: 0, max: 0xffff_ffff }),
    contentType: fc.string({ maxLength: 30 }),
    responseTopic: topicText,
    correlationData: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    userProperties: fc
      .array(fc.tuple(fc.string({ maxLength: 10 }), fc.string({ unit: 'grapheme', maxLength: 200 })), {
        minLength: 1,
        maxLength: 5,
      })
      .map((pairs) => pairs.flat()),
  },
  { requiredKeys: [] },
)

function frameOf(bytes: Buffer): Frame {
  const frames: Frame[] = []
  new FrameReader(
    (frame) => frames.push(frame),
    () => 1 << 24,
  ).push(bytes)
  return frames[0]!
}

function encode(message: OutgoingMessage, packetId: number, dup: 0 | typeof DUP, version: 4 | 5): Buffer {
  const sink = new PassThrough()
  const writer = new PacketWriter(sink)
  encodePublish(writer, message, packetId, dup, version)
  writer.flush()
  return sink.read() as Buffer
}

function parse(bytes: Buffer, version: 4 | 5): IPublishPacket {
  let packet: IPublishPacket | undefined
  const reader = parser({ protocolVersion: version })
  reader.on('packet', (read) => (packet = read as IPublishPacket))
  reader.parse(bytes)
  return packet!
}

test('encodes packets that mqtt-packet and the decoder can read, in both protocol versions', () => {
  fc.assert(
    fc.property(
      topicText,
      fc.uint8Array({ maxLength: 5000 }),
      fc.constantFrom(0 as const, 1 as const),
      fc.integer({ min: 1, max: 65_535 }),
      properties,
      fc.constantFrom(4 as const, 5 as const),
      (topic, payload, qos, packetId, props, version) => {
        const message = { topic, payload, qos, retain: false, properties: props } as OutgoingMessage
        const bytes = encode(message, packetId, qos === 1 ? DUP : 0, version)
        expect(bytes.length).toBe(publishPacketBytes(message, version))
        const foreign = parse(bytes, version)
        expect(foreign).toMatchObject({ topic, qos, dup: qos === 1, retain: false })
        expect(Buffer.from(foreign.payload)).toEqual(Buffer.from(payload))
        const own = decodePublish(frameOf(bytes), version)
        expect(own).toMatchObject({
          topic,
          qos,
          packetId: qos === 0 ? 0 : packetId,
          payloadBytes: payload.length,
        })
        expect(own.properties).toEqual(version === 5 ? props : {})
      },
    ),
  )
})

test('decodes the packets that mqtt-packet encodes', () => {
  fc.assert(
    fc.property(topicText, fc.uint8Array({ maxLength: 300 }), properties, (topic, payload, props) => {
      const { userProperties, payloadFormatIndicator, ...rest } = props
      const bytes = generate(
        {
          cmd: 'publish',
          topic,
          payload: Buffer.from(payload),
          qos: 1,
          messageId: 9,
          dup: true,
          retain: true,
          properties: {
            ...rest,
            ...(payloadFormatIndicator === undefined
              ? {}
              : { payloadFormatIndicator: payloadFormatIndicator === 1 }),
          },
        } as IPublishPacket,
        { protocolVersion: 5 },
      )
      const decoded = decodePublish(frameOf(bytes), 5)
      expect(decoded).toMatchObject({ topic, qos: 1, packetId: 9, dup: true, retain: true })
      expect(decoded.payload).toEqual(Buffer.from(payload))
      expect(decoded.properties).toMatchObject(rest)
      expect(userProperties === undefined || userProperties.length > 0).toBe(true)
    }),
  )
})

test('rejects a Response Topic that extends past the end of the packet', () => {
  const frame = frameOf(Buffer.from('300700016103080005', 'hex'))
  expect(() => decodePublish(frame, 5)).toThrow(MalformedPacket)
})

test('either decodes a truncated or corrupted packet, or rejects it as malformed', () => {
  const message: OutgoingMessage = {
    topic: 'infer/request/cam7/iris',
    payload: Buffer.from('{}'),
    qos: 1,
    retain: false,
    properties: {
      responseTopic: 'a/b',
      correlationData: Buffer.from([0, 255]),
      userProperties: ['k', 'v'],
      contentType: 'x',
    },
  }
  const valid = frameOf(encode(message, 5, 0, 5))
  fc.assert(
    fc.property(
      fc.nat(valid.body.length),
      fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 4 }),
      (cut, flips) => {
        const body = Buffer.from(valid.body.subarray(0, cut))
        for (const [index, value] of flips) if (index < body.length) body[index] = value
        try {
          decodePublish({ head: valid.head, body, isOwned: true, bodyBytes: body.length }, 5)
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedPacket)
        }
      },
    ),
    { numRuns: 5000 },
  )
})

test('reads the topic and properties of a message above the size limit, but not its payload', () => {
  const big: OutgoingMessage = {
    topic: 'infer/request/cam7/iris',
    payload: Buffer.alloc(10_000),
    qos: 1,
    retain: false,
    properties: { correlationData: Buffer.from('abc') },
  }
  const bytes = encode(big, 3, 0, 5)
  const frames: Frame[] = []
  new FrameReader(
    (frame) => frames.push(frame),
    () => 200,
  ).push(bytes)
  const decoded = decodePublish(frames[0]!, 5)
  expect(decoded).toMatchObject({ topic: big.topic, payloadBytes: 10_000 })
  expect(decoded.payload).toHaveLength(0)
  expect(decoded.properties.correlationData).toEqual(Buffer.from('abc'))
})

test('reads the topic and identifier of a packet that is truncated within its properties', () => {
  const message: OutgoingMessage = {
    topic: 'infer/request/cam7/iris',
    payload: Buffer.from('{}'),
    qos: 1,
    retain: false,
    properties: { userProperties: ['k', 'v'.repeat(5_000)] },
  }
  const frames: Frame[] = []
  new FrameReader(
    (frame) => frames.push(frame),
    () => 300,
  ).push(encode(message, 3, 0, 5))
  const decoded = decodePublish(frames[0]!, 5)
  expect(decoded).toMatchObject({ topic: message.topic, packetId: 3, isWhole: false, properties: {} })
  expect(decoded.propertyBytes).toBeGreaterThan(5_000)
})
