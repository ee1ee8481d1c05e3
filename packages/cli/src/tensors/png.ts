// Decodes PNG images to grayscale (https://www.w3.org/TR/png-3/). Interlaced images are not supported.
import { inflateSync } from 'node:zlib'
import { badFile } from './file-tensor.ts'
import { checkedCount, type GrayImage } from './gray-image.ts'

const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex')
// Number of samples per pixel for each colour type (PNG, section 11.2.1).
const SAMPLES: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }
const DEPTHS: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
}
const WHITE = 255

interface Head {
  readonly width: number
  readonly height: number
  readonly depth: number
  readonly colourType: number
}

/** Decodes an image; transparent pixels become white. `what` names the image in errors. @throws CliError */
export function readPng(bytes: Uint8Array, what: string): GrayImage {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const { head, palette, alpha, data } = readChunks(file, what)
  const { width, height, depth, colourType } = head
  const samples = SAMPLES[colourType]!
  const rowBytes = Math.ceil((width * samples * depth) / 8)
  const raw = inflated(data, height * (rowBytes + 1), what)
  unfilter(raw, rowBytes, height, Math.max(1, (samples * depth) / 8), what)
  const pixels = new Uint8Array(width * height)
  for (let y = 0; y < height; y++) {
    const row = raw.subarray(y * (rowBytes + 1) + 1, (y + 1) * (rowBytes + 1))
    for (let x = 0; x < width; x++) {
      const sample = (index: number): number => sampleOf(row, x * samples + index, depth)
      pixels[y * width + x] = Math.round(grayOf(sample, head, palette, alpha))
    }
  }
  return { width, height, pixels }
}

function readChunks(file: Buffer, what: string) {
  if (!file.subarray(0, 8).equals(SIGNATURE)) throw damaged(what)
  let head: Head | undefined
  let palette: Buffer = Buffer.alloc(0)
  let alpha: Buffer = Buffer.alloc(0)
  const data: Buffer[] = []
  for (let at = 8; at + 12 <= file.length;) {
    const length = file.readUInt32BE(at)
    const type = file.toString('latin1', at + 4, at + 8)
    const content = file.subarray(at + 8, at + 8 + length)
    if (content.length < length || type === 'IEND') break
    if (type === 'IHDR') head = readHead(content, what)
    if (type === 'PLTE') palette = content
    if (type === 'tRNS') alpha = content
    if (type === 'IDAT') data.push(content)
    at += 12 + length
  }
  if (head === undefined || data.length === 0) throw damaged(what)
  return { head, palette, alpha, data: Buffer.concat(data) }
}

function readHead(content: Buffer, what: string): Head {
  if (content.length < 13) throw damaged(what)
  const [width, height] = [content.readUInt32BE(0), content.readUInt32BE(4)]
  const [depth, colourType, , , interlace] = content.subarray(8, 13) as unknown as [
    number,
    number,
    number,
    number,
    number,
  ]
  checkedCount(width, height, what)
  if (DEPTHS[colourType]?.includes(depth) !== true) throw damaged(what)
  if (interlace !== 0) {
    throw badFile(`${what} is an interlaced PNG`, 'Save it without interlacing, or as PGM.')
  }
  return { width, height, depth, colourType }
}

function inflated(data: Buffer, size: number, what: string): Buffer {
  try {
    const raw = inflateSync(data, { maxOutputLength: size })
    if (raw.length === size) return raw
  } catch {
    // Damaged data and data of the wrong size cause the same error.
  }
  throw damaged(what)
}

// Reverses the filter of each row in place (PNG, section 9.2). `unit` is the number of bytes per pixel.
function unfilter(raw: Buffer, rowBytes: number, height: number, unit: number, what: string): void {
  for (let y = 0; y < height; y++) {
    const start = y * (rowBytes + 1) + 1
    const filter = raw[start - 1]!
    if (filter > 4) throw damaged(what)
    for (let at = start; at < start + rowBytes; at++) {
      const isFirst = at - unit < start
      const left = isFirst ? 0 : raw[at - unit]!
      const up = y === 0 ? 0 : raw[at - rowBytes - 1]!
      const corner = isFirst || y === 0 ? 0 : raw[at - rowBytes - 1 - unit]!
      raw[at] = (raw[at]! + predicted(filter, left, up, corner)) & 0xff
    }
  }
}

function predicted(filter: number, left: number, up: number, corner: number): number {
  if (filter === 1) return left
  if (filter === 2) return up
  if (filter === 3) return (left + up) >> 1
  if (filter !== 4) return 0
  const estimate = left + up - corner
  const [toLeft, toUp, toCorner] = [left, up, corner].map((value) => Math.abs(estimate - value)) as [
    number,
    number,
    number,
  ]
  if (toLeft <= toUp && toLeft <= toCorner) return left
  return toUp <= toCorner ? up : corner
}

function sampleOf(row: Buffer, index: number, depth: number): number {
  if (depth === 16) return row.readUInt16BE(2 * index)
  if (depth === 8) return row[index]!
  const bit = index * depth
  return (row[bit >> 3]! >> (8 - depth - (bit & 7))) & ((1 << depth) - 1)
}

function grayOf(
  sample: (index: number) => number,
  { depth, colourType }: Head,
  palette: Buffer,
  alpha: Buffer,
): number {
  const scale = 255 / (2 ** depth - 1)
  if (colourType === 3) {
    const index = sample(0)
    const [red = 0, green = 0, blue = 0] = palette.subarray(3 * index, 3 * index + 3)
    return onWhite(luma(red, green, blue), alpha[index] ?? 255)
  }
  const isColour = colourType === 2 || colourType === 6
  const gray = isColour ? luma(sample(0), sample(1), sample(2)) : sample(0)
  const opacity = colourType === 4 ? sample(1) : colourType === 6 ? sample(3) : 255 / scale
  return onWhite(gray * scale, opacity * scale)
}

// Converts a colour to gray with the weights of Rec. 601, which other tools use too.
function luma(red: number, green: number, blue: number): number {
  return 0.299 * red + 0.587 * green + 0.114 * blue
}

function onWhite(gray: number, opacity: number): number {
  return (gray * opacity + WHITE * (255 - opacity)) / 255
}

function damaged(what: string): Error {
  return badFile(`${what} is not a complete PNG image`, 'Save it again, or convert it to PGM.')
}
