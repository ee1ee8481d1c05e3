// Returns the files that numpy and Pillow wrote; see fixtures/make-fixtures.py.
import assert from 'node:assert/strict'
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

/** Image files that all contain PIXELS. */
export const IMAGES = recorded.images

/** Returns a .npy file. */
export function npyFile(name: string): Buffer {
  return bytesOf(recorded.arrays[name])
}

/** Returns an image. */
export function imageFile(name: string): Buffer {
  return bytesOf({ ...recorded.other, ...recorded.images }[name])
}

function bytesOf(base64: string | undefined): Buffer {
  assert(base64 !== undefined, 'fixtures/tensors.json contains no such file')
  return Buffer.from(base64, 'base64')
}
