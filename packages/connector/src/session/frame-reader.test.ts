import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FrameReader, type Frame } from './frame-reader.ts'
import { MalformedPacket } from './malformed.ts'

function packet(head: number, body: Buffer): Buffer {
  const length: number[] = []
  let rest = body.length
  do {
    length.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest)
    rest >>>= 7
  } while (rest > 0)
  return Buffer.concat([Buffer.from([head, ...length]), body])
}

function readAll(stream: Buffer, cuts: readonly number[], bodyBytesMax = 1 << 20): Frame[] {
  const frames: Frame[] = []
  const reader = new FrameReader(
    (frame) => frames.push({ ...frame, body: Buffer.from(frame.body) }),
    () => bodyBytesMax,
  )
  let from = 0
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    reader.push(stream.subarray(from, cut))
    from = cut
  }
  reader.push(stream.subarray(from))
  return frames
}

test('reads whole packets, wherever the stream is split into chunks', () => {
  const bodies = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(bodies, fc.array(fc.nat(2000), { maxLength: 20 }), (parts, cuts) => {
      const packets = parts.map((part, index) => packet(0x30 + index, Buffer.from(part)))
      const stream = Buffer.concat(packets)
      const frames = readAll(
        stream,
        cuts.map((cut) => cut % (stream.length + 1)),
      )
      expect(frames.map(({ head, body }) => ({ head, body: body.toString('hex') }))).toEqual(
        parts.map((part, index) => ({ head: 0x30 + index, body: Buffer.from(part).toString('hex') })),
      )
    }),
  )
})

test('reads packets that arrive one byte at a time', () => {
  const stream = Buffer.concat([packet(0x30, Buffer.alloc(20_000, 1)), packet(0xd0, Buffer.alloc(0))])
  const frames = readAll(stream, [...stream.keys()])
  expect(frames.map(({ head, bodyBytes }) => [head, bodyBytes])).toEqual([
    [0x30, 20_000],
    [0xd0, 0],
  ])
})

test('reads the rest of a large packet into its own memory, however much arrives at a time', () => {
  const sizes = fc.array(fc.nat(400_000), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(
      sizes,
      fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 1, maxLength: 9 }),
      (lengths, reads) => {
        const bodies = lengths.map((length, index) => Buffer.alloc(length, `${index}abcdefg`))
        const stream = Buffer.concat(bodies.map((body) => packet(0x30, body)))
        const frames: Buffer[] = []
        let direct = 0
        const reader = new FrameReader(
          ({ body }) => frames.push(Buffer.from(body)),
          () => 300_000,
        )
        for (let at = 0, turn = 0; at < stream.length; turn += 1) {
          const { space } = reader
          const count = Math.min(reads[turn % reads.length]!, space?.length ?? Infinity, stream.length - at)
          if (space === undefined) reader.push(stream.subarray(at, at + count))
          else {
            stream.copy(space, 0, at, at + count)
            reader.filled(count)
            direct += count
          }
          at += count
        }
        expect(frames.map((body, index) => body.equals(bodies[index]!.subarray(0, 300_000)))).toEqual(
          bodies.map(() => true),
        )
        if (Math.max(...lengths) < 64 * 1024) expect(direct).toBe(0)
      },
    ),
    { numRuns: 50 },
  )
})

test('after stop(), offers no memory, and does not pass on a packet that is completed later', () => {
  const frames: Frame[] = []
  const reader = new FrameReader(
    (frame) => frames.push(frame),
    () => 1 << 20,
  )
  reader.push(packet(0x30, Buffer.alloc(200_000)).subarray(0, 10))
  const { space } = reader
  expect(space?.length).toBe(200_000 - 6)
  reader.stop()
  expect(reader.space).toBeUndefined()
  reader.filled(space!.length)
  expect(frames).toEqual([])
})

test('keeps only the beginning of a packet above the limit, and reads the packets after it', () => {
  const stream = Buffer.concat([packet(0x30, Buffer.alloc(50_000, 7)), packet(0x40, Buffer.from([0, 1]))])
  const frames = readAll(stream, [10, 700, 30_000], 100)
  expect(frames[0]).toMatchObject({ head: 0x30, bodyBytes: 50_000 })
  expect(frames[0]!.body).toEqual(Buffer.alloc(100, 7))
  expect(frames[1]).toMatchObject({ head: 0x40, bodyBytes: 2 })
})

test('rejects a Remaining Length of five bytes', () => {
  expect(() => readAll(Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80, 0x01]), [])).toThrow(MalformedPacket)
})

test('after `stop`, passes on no further frame, not even from the same chunk', () => {
  const seen: number[] = []
  const reader = new FrameReader(
    (frame) => {
      seen.push(frame.head)
      reader.stop()
    },
    () => 1000,
  )
  reader.push(Buffer.concat([packet(0x30, Buffer.from([1])), packet(0x31, Buffer.from([2]))]))
  expect(seen).toEqual([0x30])
})
