// Tests the reader with files that numpy wrote.
import { expect, test } from 'vitest'
import { readNpy } from './npy.ts'
import { npyFile } from './testing/recorded.ts'

test.each([
  ['u1', 'UINT8', Uint8Array],
  ['u2', 'UINT16', Uint16Array],
  ['u4', 'UINT32', Uint32Array],
  ['i1', 'INT8', Int8Array],
  ['i2', 'INT16', Int16Array],
  ['i4', 'INT32', Int32Array],
  ['f4', 'FP32', Float32Array],
  ['f8', 'FP64', Float64Array],
  ['>f4', 'FP32', Float32Array],
])('reads an array of %s as %s', (name, datatype, array) => {
  expect(readNpy(npyFile(name), 'x')).toEqual({ datatype, shape: [2, 2], data: array.of(0, 1, 2, 3) })
})

test('keeps 64-bit integers, booleans and the bits of half-precision numbers', () => {
  expect(readNpy(npyFile('i8'), 'x')).toMatchObject({
    datatype: 'INT64',
    data: BigInt64Array.of(0n, 1n, 2n, 3n),
  })
  expect(readNpy(npyFile('>i8'), 'x').data).toEqual(BigInt64Array.of(0n, 1n, 2n, 3n))
  expect(readNpy(npyFile('u8'), 'x')).toMatchObject({
    datatype: 'UINT64',
    data: BigUint64Array.of(0n, 1n, 2n, 3n),
  })
  expect(readNpy(npyFile('largest'), 'x').data).toEqual(BigInt64Array.of(2n ** 63n - 1n, -(2n ** 63n)))
  expect(readNpy(npyFile('b1'), 'x')).toMatchObject({ datatype: 'BOOL', data: Uint8Array.of(0, 1, 1, 1) })
  expect(readNpy(npyFile('f2'), 'x')).toMatchObject({
    datatype: 'FP16',
    data: Uint16Array.of(0, 0x3c00, 0x4000, 0x4200),
  })
})

test('reads text and bytes without their padding', () => {
  const unicode = { datatype: 'BYTES', shape: [3], data: ['äb', '', '😀'] }
  expect(readNpy(npyFile('unicode'), 'x')).toEqual(unicode)
  expect(readNpy(npyFile('unicode, big-endian'), 'x')).toEqual(unicode)
  const { data } = readNpy(npyFile('bytes'), 'x')
  expect(Array.from(data as Uint8Array[], (element) => [...element])).toEqual([[0x61, 0xff], []])
})

test('reads all format versions, scalars and empty arrays', () => {
  for (const version of ['version 2', 'version 3']) {
    expect(readNpy(npyFile(version), 'x')).toEqual({
      datatype: 'FP32',
      shape: [1],
      data: Float32Array.of(1.5),
    })
  }
  expect(readNpy(npyFile('scalar'), 'x')).toMatchObject({ shape: [], data: Float64Array.of(1.5) })
  expect(readNpy(npyFile('empty'), 'x')).toMatchObject({ shape: [0, 4], data: new Float32Array(0) })
})

test('does not require the bytes to be aligned', () => {
  const shifted = Buffer.concat([Buffer.alloc(1), npyFile('f8')]).subarray(1)
  expect(readNpy(shifted, 'x').data).toEqual(Float64Array.of(0, 1, 2, 3))
})

function npyOf(header: string): Buffer {
  return Buffer.concat([
    npyFile('f4').subarray(0, 8),
    Buffer.from(Uint16Array.of(header.length).buffer),
    Buffer.from(header),
  ])
}

test.each([
  ['Fortran order', npyFile('fortran'), /Fortran order/, /ascontiguousarray/],
  ['a structured type', npyFile('structured'), /structured type/, /FIELD/],
  ['complex numbers', npyFile('c16'), /numpy type <c16, which is not a V2 datatype/, /astype/],
  [
    'many strings without bytes',
    npyOf("{'descr': '<U0', 'fortran_order': False, 'shape': (4000000000,), }"),
    /<U0, which is not a V2 datatype/,
    /astype/,
  ],
  ['another file', Buffer.from('{"instances":[[1,2]]}'), /not a \.npy file/, /np\.save/],
  ['a truncated header', npyFile('f4').subarray(0, 60), /truncated/, /np\.save/],
  ['a truncated array', npyFile('f4').subarray(0, -1), /15 bytes of values, but .* need 16/, /np\.save/],
  [
    'a newer version',
    Buffer.from(npyFile('f4').map((byte, at) => (at === 6 ? 9 : byte))),
    /version 9/,
    /np\.save/,
  ],
  [
    'an invalid header',
    Buffer.from(npyFile('f4').toString('latin1').replace('shape', 'shapf'), 'latin1'),
    /header/,
    /np/,
  ],
  [
    'a shape that overflows',
    Buffer.from(
      npyFile('f4')
        .toString('latin1')
        .replace('(2, 2), }', '(94906267, 94906267), }')
        .replace(/ {15}\n/, '\n'),
      'latin1',
    ),
    /bytes of values/,
    /np/,
  ],
])('refuses %s with a remedy', (_name, bytes, message, remedy) => {
  expect(() => readNpy(bytes, 'file "x.npy"')).toThrow(
    expect.objectContaining({
      message: expect.stringMatching(message) as string,
      remedy: expect.stringMatching(remedy) as string,
      exitCode: 65,
    }),
  )
})
