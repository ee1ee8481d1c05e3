// Tests the readers with images that Pillow wrote.
import { expect, test } from 'vitest'
import { readImage, resize } from './gray-image.ts'
import { imageFile, IMAGES, PIXELS } from './testing/recorded.ts'

test.each(Object.keys(IMAGES))('reads the pixels of an image: %s', (name) => {
  const { width, height, pixels } = readImage(imageFile(name), 'x')
  expect([width, height]).toEqual([9, 8])
  expect([...pixels]).toEqual(PIXELS.flat())
})

test('reads images with several pixels per byte', () => {
  const { pixels } = readImage(imageFile('1 bit'), 'x')
  expect([...pixels]).toEqual(PIXELS.flat().map((value) => (value > 127 ? 255 : 0)))
  expect(new Set(readImage(imageFile('palette of 4'), 'x').pixels).size).toBe(4)
})

test('a transparent pixel is white', () => {
  const { pixels } = readImage(imageFile('transparent'), 'x')
  expect([...pixels]).toEqual([255, ...PIXELS.flat().slice(1)])
})

test('reads the decimal values of a plain PGM, and scales PGM values to the range 0 to 255', () => {
  const plain = Buffer.from('P2\n# a comment\n2 2\n15\n0 15\n 5 10\n')
  expect([...readImage(plain, 'x').pixels]).toEqual([0, 255, 85, 170])
  const wide = Buffer.concat([Buffer.from('P5 2 1 65535\n'), Buffer.from([0xff, 0xff, 0, 0])])
  expect([...readImage(wide, 'x').pixels]).toEqual([255, 0])
})

test('a scaled pixel is the mean of the area that it covers', () => {
  const image = { width: 4, height: 2, pixels: Uint8Array.of(0, 100, 200, 200, 100, 200, 0, 0) }
  expect([...resize(image, 2, 1)]).toEqual([100, 100])
  expect([...resize(image, 4, 2)]).toEqual([...image.pixels])
  expect([...resize({ width: 3, height: 1, pixels: Uint8Array.of(0, 90, 30) }, 2, 1)]).toEqual([30, 50])
  for (const value of resize({ width: 1, height: 1, pixels: Uint8Array.of(7) }, 3, 2)) {
    expect(value).toBeCloseTo(7)
  }
})

const png = imageFile('grayscale')
const changed = (at: number, byte: number): Buffer =>
  Buffer.from(png.map((old, i) => (i === at ? byte : old)))

test.each([
  ['another file', Buffer.from('GIF89a'), /not a PNG or PGM/],
  ['a truncated PNG', png.subarray(0, 50), /not a complete PNG/],
  ['a PNG without data', png.subarray(0, 33), /not a complete PNG/],
  ['an interlaced PNG', changed(28, 1), /interlaced/],
  ['an invalid depth', changed(24, 3), /not a complete PNG/],
  ['fewer rows than in the header', changed(23, 200), /not a complete PNG/],
  ['more rows than in the header', changed(23, 2), /not a complete PNG/],
  ['too many pixels', changed(16, 0x7f), /pixels/],
  ['no pixels', Buffer.from('P5 0 3 255\n'), /0 x 3 pixels/],
  ['a truncated PGM', Buffer.from('P5 2 2 255\nabc'), /truncated/],
  ['a value above the maximum', Buffer.from('P2 1 1 15\n16'), /values above 15/],
])('refuses %s', (_name, bytes, message) => {
  expect(() => readImage(bytes, 'file "x.png"')).toThrow(
    expect.objectContaining({ message: expect.stringMatching(message) as string, exitCode: 65 }),
  )
})
