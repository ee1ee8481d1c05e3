// Returns the files that numpy and Pillow wrote; see fixtures/make-fixtures.py.
import { readFileSync } from 'node:fs'

interface Recorded {
  readonly arrays: Readonly<Record<string, string>>
  readonly pixels: readonly (readonly number[])[]
  readonly images: Readonly<Record<string, string>>
  readonly other: Readonly<Record<string, string>>
}

const recorded = JSON.parse(
  readFileSync(new URL('../../../fixtures/tensors.json', import.meta.url), 'utf8'),
) as Recorded

/** The pixels of every image in `images`: 8 rows of 9 pixels. */
export const PIXELS = recorded.pixels

/** Files that contain the same pixels. */
export const IMAGES = recorded.images

/** Returns a .npy file. */
export function npyFile(name: string): Buffer {
  return Buffer.from(recorded.arrays[name]!, 'base64')
}

/** Returns an image. */
export function imageFile(name: string): Buffer {
  return Buffer.from((recorded.images[name] ?? recorded.other[name])!, 'base64')
}
