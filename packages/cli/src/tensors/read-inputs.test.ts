import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TensorMetadata } from '@inferwire/protocol'
import { readInputs, type NamedTensor } from './read-inputs.ts'
import { npyFile } from './testing/recorded.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'inferwire-inputs-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const PIXELS = { pixelMax: 255, invert: false }

/**
 * Reads one file as the input `x` of a model. `input` contains the datatype and the shape in the model's card; if
 * it is omitted, the model has no card.
 */
async function read(
  file: string,
  content: string | Uint8Array,
  input?: Omit<TensorMetadata, 'name'>,
  pixels = PIXELS,
): Promise<NamedTensor> {
  const path = join(folder, file)
  writeFileSync(path, content)
  const card = input === undefined ? undefined : { name: 'm', inputs: [{ name: 'x', ...input }] }
  const [tensor] = await readInputs([`x=${path}`], card, pixels)
  return tensor!
}

const FP32 = { datatype: 'FP32', shape: [-1, 2] }

test('without a card, the .npy file determines datatype and shape', async () => {
  expect(await read('a.npy', npyFile('f8'))).toEqual({
    name: 'x',
    datatype: 'FP64',
    shape: [2, 2],
    data: Float64Array.of(0, 1, 2, 3),
  })
})

test('a .npy file is converted to the datatype of the input if no value changes', async () => {
  const data = Float32Array.of(0, 1, 2, 3)
  for (const name of ['f8', 'i8', 'u1']) {
    expect(await read('a.npy', npyFile(name), FP32)).toMatchObject({ datatype: 'FP32', data })
  }
  const int64 = { datatype: 'INT64', shape: [-1, 2] }
  expect((await read('a.npy', npyFile('u1'), int64)).data).toEqual(BigInt64Array.of(0n, 1n, 2n, 3n))
  expect((await read('a.npy', npyFile('i8'), { ...int64, datatype: 'UINT8' })).data).toEqual(
    Uint8Array.of(0, 1, 2, 3),
  )
  expect((await read('a.npy', npyFile('i4'), { ...int64, datatype: 'FP16' })).data).toEqual([0, 1, 2, 3])
})

test.each([
  ['largest', 'FP64', /cannot represent all/],
  ['largest', 'FP16', /cannot represent all/],
  ['largest', 'INT32', /too small/],
  ['largest', 'UINT64', /negative numbers/],
  ['f4', 'INT32', /has FP32 values, but the input needs INT32/],
  ['f2', 'FP32', /has FP16 values/],
  ['b1', 'FP32', /has BOOL values/],
  ['unicode', 'FP32', /has BYTES values/],
  ['f4', 'BYTES', /but the input needs BYTES/],
])('a .npy file with %s values is not converted to %s', async (name, datatype, message) => {
  const shape = name.length === 2 ? [-1, 2] : [-1]
  await expect(read('a.npy', npyFile(name), { datatype, shape })).rejects.toMatchObject({
    message: expect.stringMatching(message) as string,
    remedy: expect.stringContaining('astype') as string,
  })
})

test.each([
  ['FP32', (2 - 2 ** -24) * 2 ** 127],
  ['FP16', 65_520],
  ['BF16', (2 - 2 ** -8) * 2 ** 127],
])('a finite value that %s would round to infinity is refused', async (datatype, least) => {
  const rows = async (value: number) =>
    read('a.json', `{"datatype":"FP64","shape":[2],"data":[1,-${value}]}`, { datatype, shape: [2] })
  await expect(rows(least)).rejects.toThrow(
    /has FP64 values, but the input needs .*cannot represent all of them/,
  )
  expect((await rows(least * (1 - 2 ** -50))).datatype).toBe(datatype)
})

async function messageOf(json: string): Promise<string> {
  return read('a.json', json, FP32).then(
    () => '',
    (error: Error) => error.message.replace(folder, ''),
  )
}

test('an error about values names the file only once; a request body is not accepted as a tensor', async () => {
  expect(await messageOf('[1,"b"]')).toBe('file "/a.json": "b" is not a value of FP32')
  expect(await messageOf('{"datatype":"FP31","shape":[1],"data":[1]}')).toBe(
    'file "/a.json" has the unknown datatype "FP31"',
  )
  expect(await messageOf('{"inputs":[]}')).toBe('file "/a.json" is a request body')
})

async function shapeOf(json: string, shape: number[]): Promise<readonly number[]> {
  return (await read('a.json', json, { datatype: 'FP32', shape })).shape
}

test('adds the batch dimension to a single sample, and gives a flat list the shape of the input', async () => {
  expect(await shapeOf('[[1,2],[3,4]]', [-1, 2])).toEqual([2, 2])
  expect(await shapeOf('[1,2]', [-1, 2])).toEqual([1, 2])
  expect(await shapeOf('[1,2,3,4]', [-1, 2])).toEqual([2, 2])
  expect(await shapeOf('[[1,2],[3,4]]', [-1, 2, 2])).toEqual([1, 2, 2])
  expect(await shapeOf('[1,2,3,4]', [2, 2])).toEqual([2, 2])
  expect(await shapeOf('7', [1])).toEqual([1])
  await expect(shapeOf('[1,2,3]', [-1, 2])).rejects.toThrow(
    'has 3 values, which do not fill the shape (-1,2)',
  )
  await expect(shapeOf('[1,2,3,4]', [-1, -1, -1])).rejects.toThrow('do not fill')
  await expect(shapeOf('[[1,2,3]]', [-1, 2])).rejects.toThrow('has the shape (1,3), but input "x" has (-1,2)')
})

test('a .json file is a list, or an object with datatype and shape', async () => {
  expect(
    await read('a.json', '{"datatype":"INT64","shape":[1,2],"data":[9007199254740993,-1]}'),
  ).toMatchObject({
    datatype: 'INT64',
    data: BigInt64Array.of(9007199254740993n, -1n),
  })
  expect(await read('a.json', '["ä","b"]')).toMatchObject({ datatype: 'BYTES', shape: [2], data: ['ä', 'b'] })
  expect(await read('a.json', '[true]')).toMatchObject({ datatype: 'BOOL', data: Uint8Array.of(1) })
  expect((await read('a.json', '[0.5]', { datatype: 'BF16', shape: [1] })).data).toEqual([0.5])
  await expect(read('a.json', '[1]')).rejects.toThrow("the model's card does not describe the input")
  await expect(read('a.json', '[[1],[2,3]]', FP32)).rejects.toThrow('inhomogeneous')
  await expect(read('a.json', '[1,"b"]', FP32)).rejects.toMatchObject({ exitCode: 65 })
  await expect(read('a.json', '[1,', FP32)).rejects.toMatchObject({ exitCode: 65 })
  await expect(read('a.json', '{"shape":[3],"data":[1]}', FP32)).rejects.toThrow('does not fit')
  await expect(read('a.json', '{"datatype":"FP31","shape":[1],"data":[1]}')).rejects.toMatchObject({
    exitCode: 65,
  })
})

test.each(['a.bin', 'a.pgm'])('%s is refused for an input of an unknown datatype', async (file) => {
  await expect(read(file, 'P5 1 1 255 \0', { datatype: 'FP8', shape: [1] })).rejects.toThrow(
    'is for input "x", which has the unknown datatype "FP8"',
  )
})

test('a .bin file is read with the datatype and the shape in the card', async () => {
  const bytes = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer)
  expect(await read('a.bin', bytes, FP32)).toMatchObject({ shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) })
  await expect(read('a.bin', bytes)).rejects.toThrow('does not describe the input')
  await expect(read('a.bin', bytes.subarray(1), FP32)).rejects.toThrow(
    '15 bytes, which is not a multiple of 4',
  )
  await expect(read('a.bin', bytes.subarray(4), FP32)).rejects.toThrow('3 values')
  await expect(read('a.bin', bytes, { datatype: 'BYTES', shape: [-1] })).rejects.toThrow(
    'without their lengths',
  )
})

test('an image is scaled to the size of the input, and its pixel values are scaled to pixelMax', async () => {
  const image = Buffer.from('P2 4 4 255 0 0 255 255 0 0 255 255 255 255 0 0 255 255 0 0\n')
  const digits = { datatype: 'FP32', shape: [-1, 4] }
  const ink = { pixelMax: 16, invert: true }
  expect(await read('a.pgm', image, digits, ink)).toMatchObject({
    shape: [1, 4],
    data: Float32Array.of(16, 0, 0, 16),
  })
  expect(await read('a.pgm', image, { datatype: 'UINT8', shape: [1, 1, 2, 2] })).toMatchObject({
    shape: [1, 1, 2, 2],
    data: Uint8Array.of(0, 255, 255, 0),
  })
  await expect(read('a.pgm', image, { datatype: 'FP32', shape: [-1, 3, 8, 8] })).rejects.toThrow(
    'not a grayscale',
  )
  await expect(read('a.pgm', image, { datatype: 'INT8', shape: [4, 4] })).rejects.toMatchObject({
    remedy: 'Choose another --pixel-max.',
  })
})

test('the name may be omitted if the model has one input; for a wrong name, the error suggests the right one', async () => {
  const file = join(folder, 'b.npy')
  writeFileSync(file, npyFile('f4'))
  const card = { name: 'm', inputs: [{ name: 'image', ...FP32 }] }
  expect((await readInputs([file], card, PIXELS))[0]!.name).toBe('image')
  const two = { name: 'm', inputs: [...card.inputs, { name: 'mask', ...FP32 }] }
  await expect(readInputs([file], two, PIXELS)).rejects.toMatchObject({
    exitCode: 64,
    remedy: "Use --input NAME=FILE. The model's inputs are: image, mask.",
  })
  await expect(readInputs([file], undefined, PIXELS)).rejects.toMatchObject({ exitCode: 64 })
  await expect(readInputs([`imag=${file}`], card, PIXELS)).rejects.toMatchObject({
    remedy: 'Did you mean "image"?',
  })
  await expect(readInputs([`image=${file}`, `image=${file}`], card, PIXELS)).rejects.toThrow('given twice')
})

test.each([
  ['x=/does/not/exist.npy', 66, /cannot be read/],
  ['x=/dev/null', 64, /has no known file type/],
])('refuses --input %s', async (spec, exitCode, message) => {
  await expect(readInputs([spec], undefined, PIXELS)).rejects.toMatchObject({
    exitCode,
    message: expect.stringMatching(message) as string,
  })
})
