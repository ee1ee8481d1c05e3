// Reads grayscale images (PGM, PNG) and scales them to a model's input.
import { badFile } from './file-tensor.ts'
import { readPng } from './png.ts'

/** An image; 0 is black, 255 is white. */
export interface GrayImage {
  readonly width: number
  readonly height: number
  /** Row-major, one byte per pixel. */
  readonly pixels: Uint8Array
}

// The largest accepted image, in pixels.
const PIXELS_MAX = 16 * 1024 * 1024

/** Reads a PNG or PGM file. `what` names the file in errors. @throws CliError */
export function readImage(bytes: Uint8Array, what: string): GrayImage {
  return bytes[0] === 0x89 ? readPng(bytes, what) : readPgm(bytes, what)
}

// Netpbm's PGM: "P5" contains bytes, "P2" contains decimal numbers. A comment in the header begins with "#".
function readPgm(bytes: Uint8Array, what: string): GrayImage {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  const gap = '(?:\\s|#[^\\n]*\\n)+'
  const head = new RegExp(`^(P[25])${gap}(\\d{1,7})${gap}(\\d{1,7})${gap}(\\d{1,5})\\s`).exec(text)
  if (head === null) {
    throw badFile(`${what} is not a PNG or PGM image`, 'Convert it, for example: convert IMAGE image.png')
  }
  const [whole, kind] = head
  const [width, height, max] = head.slice(2).map(Number) as [number, number, number]
  const count = checkedCount(width, height, what)
  if (max < 1 || max > 65_535) throw badFile(`${what} has the maximum value ${max}`, 'Use 1 to 65535.')
  const size = max > 255 ? 2 : 1
  const values =
    kind === 'P2'
      ? text.slice(whole.length).trim().split(/\s+/, count).map(Number)
      : Array.from(
          { length: Math.min(count, Math.floor((bytes.length - whole.length) / size)) },
          (_, index) => {
            const at = whole.length + index * size
            return size === 1 ? bytes[at]! : bytes[at]! * 256 + bytes[at + 1]!
          },
        )
  if (values.length < count || values.some((value) => !(value >= 0 && value <= max))) {
    throw badFile(`${what} is truncated, or has values above ${max}`, 'Convert the original image again.')
  }
  return { width, height, pixels: Uint8Array.from(values, (value) => Math.round((value * 255) / max)) }
}

/** Returns the number of pixels. @throws CliError if there are none, or too many */
export function checkedCount(width: number, height: number, what: string): number {
  const count = width * height
  if (count > 0 && count <= PIXELS_MAX) return count
  throw badFile(`${what} has ${width} x ${height} pixels`, `Use an image of 1 to ${PIXELS_MAX} pixels.`)
}

/** Scales an image; each new pixel is the mean of the area that it covers. Values are 0 to 255, not rounded. */
export function resize(
  { width, height, pixels }: GrayImage,
  toWidth: number,
  toHeight: number,
): Float64Array {
  const rows = spans(height, toHeight)
  const columns = spans(width, toWidth)
  const scaled = new Float64Array(toWidth * toHeight)
  const area = (width / toWidth) * (height / toHeight)
  rows.forEach((row, y) => {
    columns.forEach((column, x) => {
      let sum = 0
      for (const { at: fromY, share: shareY } of row) {
        for (const { at: fromX, share: shareX } of column) {
          sum += pixels[fromY * width + fromX]! * shareY * shareX
        }
      }
      scaled[y * toWidth + x] = sum / area
    })
  })
  return scaled
}

// Returns, for each target pixel, the source pixels that it covers along one axis, and how much of each it covers.
function spans(from: number, to: number): { at: number; share: number }[][] {
  const step = from / to
  return Array.from({ length: to }, (_, index) => {
    const start = index * step
    const end = Math.min(from, start + step)
    const covered = []
    for (let at = Math.floor(start); at < end; at++) {
      covered.push({ at, share: Math.min(end, at + 1) - Math.max(start, at) })
    }
    return covered
  })
}
