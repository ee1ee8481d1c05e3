// Mutates inputs: changes bytes, ranges and numbers, and splices two inputs.
import type { Random } from '../fixtures/random.ts'

/** Data for mutations. */
export interface MutateOptions {
  /** Another input, for splices. */
  readonly other: Buffer
  readonly dictionary: readonly Buffer[]
  readonly bytesMax: number
}

type Change = (input: Buffer, random: Random, options: MutateOptions) => Buffer

const CHANGES: readonly Change[] = [
  flipBit,
  setByte,
  setByte,
  insertBytes,
  deleteRange,
  duplicateRange,
  repeatRange,
  moveRange,
  splice,
  insertToken,
  insertToken,
  overwriteToken,
  changeLengthField,
  changeDigits,
  truncate,
]
const INTERESTING_BYTES = [0, 1, 2, 9, 10, 13, 31, 32, 34, 35, 43, 47, 92, 127, 128, 192, 254, 255]
const INTERESTING_NUMBERS = [
  0, 1, 2, 3, 4, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0xffff_ffff,
]
const INTERESTING_DIGITS = (
  '0 -0 -1 1 65535 65536 2147483647 2147483648 4294967296 9007199254740991 9007199254740993 ' +
  '18446744073709551616 1e308 1e400 -1e-400 0.1 00 99999999999999999999999999'
).split(' ')

/** Applies one to five mutations. */
export function mutate(input: Buffer, random: Random, options: MutateOptions): Buffer {
  let bytes = input
  for (let count = random.below(5); count >= 0; count--) bytes = random.pick(CHANGES)(bytes, random, options)
  return bytes.length > options.bytesMax ? bytes.subarray(0, options.bytesMax) : bytes
}

function flipBit(input: Buffer, random: Random): Buffer {
  if (input.length === 0) return input
  const bytes = Buffer.from(input)
  bytes[random.below(bytes.length)]! ^= 1 << random.below(8)
  return bytes
}

function setByte(input: Buffer, random: Random): Buffer {
  if (input.length === 0) return input
  const bytes = Buffer.from(input)
  bytes[random.below(bytes.length)] = random.next() < 0.5 ? random.pick(INTERESTING_BYTES) : random.below(256)
  return bytes
}

function insertBytes(input: Buffer, random: Random): Buffer {
  const added = Buffer.alloc(1 + random.below(8), random.below(256))
  if (random.next() < 0.5) for (let at = 0; at < added.length; at++) added[at] = random.below(256)
  return inserted(input, random.below(input.length + 1), added)
}

function deleteRange(input: Buffer, random: Random): Buffer {
  const [from, to] = range(input, random)
  return Buffer.concat([input.subarray(0, from), input.subarray(to)])
}

function duplicateRange(input: Buffer, random: Random): Buffer {
  const [from, to] = range(input, random)
  return inserted(input, to, input.subarray(from, to))
}

// Repeats a short range, which produces nesting and long lists.
function repeatRange(input: Buffer, random: Random, { bytesMax }: MutateOptions): Buffer {
  if (random.next() < 0.8) return duplicateRange(input, random)
  const from = random.below(input.length + 1)
  const piece = input.subarray(from, from + 1 + random.below(6))
  if (piece.length === 0) return input
  const times = 1 + random.below(Math.min(4096, Math.ceil(bytesMax / piece.length)))
  return inserted(input, from, Buffer.alloc(piece.length * times, piece))
}

function moveRange(input: Buffer, random: Random): Buffer {
  const [from, to] = range(input, random)
  const rest = Buffer.concat([input.subarray(0, from), input.subarray(to)])
  return inserted(rest, random.below(rest.length + 1), input.subarray(from, to))
}

function splice(input: Buffer, random: Random, { other }: MutateOptions): Buffer {
  if (random.next() < 0.5) {
    return Buffer.concat([
      input.subarray(0, random.below(input.length + 1)),
      other.subarray(random.below(other.length + 1)),
    ])
  }
  const [from, to] = range(other, random)
  return inserted(input, random.below(input.length + 1), other.subarray(from, to))
}

function insertToken(input: Buffer, random: Random, { dictionary }: MutateOptions): Buffer {
  if (dictionary.length === 0) return insertBytes(input, random)
  return inserted(input, random.below(input.length + 1), random.pick(dictionary))
}

function overwriteToken(input: Buffer, random: Random, { dictionary }: MutateOptions): Buffer {
  if (dictionary.length === 0) return setByte(input, random)
  const token = random.pick(dictionary)
  const at = random.below(input.length + 1)
  return Buffer.concat([input.subarray(0, at), token, input.subarray(at + token.length)])
}

// MQTT length prefixes have two bytes; those of binary tensors have four, in little-endian order.
function changeLengthField(input: Buffer, random: Random): Buffer {
  const width = random.pick([1, 2, 4])
  if (input.length < width) return input
  const bytes = Buffer.from(input)
  const at = random.below(bytes.length - width + 1)
  const isLittle = random.next() < 0.5
  const now = isLittle ? bytes.readUIntLE(at, width) : bytes.readUIntBE(at, width)
  const rest = bytes.length - at - width
  const value = random.pick([
    now + random.below(17) - 8,
    rest,
    rest + random.below(5) - 2,
    random.pick(INTERESTING_NUMBERS),
  ])
  const limit = 2 ** (8 * width)
  const wrapped = ((value % limit) + limit) % limit
  if (isLittle) bytes.writeUIntLE(wrapped, at, width)
  else bytes.writeUIntBE(wrapped, at, width)
  return bytes
}

// Changes a number that is written as text.
function changeDigits(input: Buffer, random: Random): Buffer {
  const start = random.below(input.length + 1)
  let from = start
  while (from < input.length && !isDigit(input[from]!)) from += 1
  let to = from
  while (to < input.length && isDigit(input[to]!)) to += 1
  if (from === to) return setByte(input, random)
  const digits = Buffer.from(random.pick(INTERESTING_DIGITS))
  return Buffer.concat([input.subarray(0, from), digits, input.subarray(to)])
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

function truncate(input: Buffer, random: Random): Buffer {
  if (random.next() < 0.5) return input.subarray(0, random.below(input.length + 1))
  return input.subarray(random.below(input.length + 1))
}

function inserted(input: Buffer, at: number, added: Buffer): Buffer {
  return Buffer.concat([input.subarray(0, at), added, input.subarray(at)])
}

// Returns short ranges more often than long ones.
function range(input: Buffer, random: Random): [from: number, to: number] {
  const from = random.below(input.length + 1)
  const longest = random.next() < 0.7 ? Math.min(16, input.length - from) : input.length - from
  return [from, from + random.below(longest + 1)]
}
