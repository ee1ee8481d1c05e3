// Property test: a damaged file is either read, or refused with a remedy; it never causes any other error.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CliError } from '../cli-error.ts'
import { readImage } from './gray-image.ts'
import { readNpy } from './npy.ts'
import { imageFile, npyFile } from './testing/recorded.ts'

const PGM = Buffer.from('P2\n# a comment\n2 2\n15\n0 15\n 5 10\n')
const FILES = [
  ...['f4', 'largest', 'unicode', 'bytes', 'version 3', 'structured'].map(npyFile),
  ...['grayscale', 'palette', '1 bit', 'filter 4', 'transparent', 'PGM'].map(imageFile),
  PGM,
]

const damaged = fc
  .record({
    file: fc.constantFrom(...FILES),
    changes: fc.array(fc.tuple(fc.nat(2_000), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
    end: fc.nat(2_000),
  })
  .map(({ file, changes, end }) => {
    const copy = Buffer.from(file)
    for (const [at, byte] of changes) copy[at % copy.length] = byte
    return end % 3 === 0 ? copy.subarray(0, end % copy.length) : copy
  })

test('damaged files and random bytes are read or refused', () => {
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 300 })), (bytes) => {
      for (const read of [readNpy, readImage]) {
        try {
          read(bytes, 'x')
        } catch (error) {
          expect(error).toBeInstanceOf(CliError)
          expect((error as CliError).remedy).not.toBe('')
        }
      }
    }),
    { numRuns: 3_000 },
  )
})
