// Tests reading V2 requests of any model, and writing V2 responses.
import { describe, expect, test } from 'vitest'
import { readBareTensor } from './bare-tensor.ts'
import type { BodyError } from './body-error.ts'
import { readMessage } from './infer-message.ts'
import { writeMessage, type MessageResponse } from './write-message.ts'

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

function read(body: unknown): ReturnType<typeof readMessage> {
  return readMessage(bytes(typeof body === 'string' ? body : JSON.stringify(body)))
}

function readBinary(json: unknown, tensors: Uint8Array): ReturnType<typeof readMessage> {
  const head = bytes(JSON.stringify(json))
  return readMessage(new Uint8Array(Buffer.concat([head, tensors])), head.length)
}

function errorOf(run: () => unknown): BodyError {
  try {
    run()
  } catch (error) {
    return error as BodyError
  }
  return expect.fail('no error')
}

const input = (datatype: string, shape: number[], data?: unknown, parameters?: object): object => ({
  name: 'x',
  datatype,
  shape,
  ...(data === undefined ? {} : { data }),
  ...(parameters === undefined ? {} : { parameters }),
})

const element = (length: number, ...rest: number[]): Uint8Array => Uint8Array.of(length, 0, 0, 0, ...rest)

describe('readMessage', () => {
  test('reads JSON exactly: 64-bit integers, nested data, lower-case datatypes', () => {
    const { inputs, id, isBinary } = read(
      '{"id":"7","inputs":[{"name":"x","shape":[2,1],"datatype":"int64","data":[[9007199254740993],[-1]]}]}',
    )
    expect(id).toBe('7')
    expect(isBinary).toBe(false)
    expect(inputs[0]).toMatchObject({ name: 'x', datatype: 'INT64', shape: [2, 1] })
    expect(inputs[0]!.data).toEqual({ values: BigInt64Array.of(9007199254740993n, -1n) })
  })

  test('turns FP16 and BF16 values into their bit patterns', () => {
    expect(read({ inputs: [input('FP16', [2], [1, -2])] }).inputs[0]!.data).toEqual({
      values: Uint16Array.of(0x3c00, 0xc000),
    })
    expect(read({ inputs: [input('BF16', [2], [1, -2])] }).inputs[0]!.data).toEqual({
      values: Uint16Array.of(0x3f80, 0xc000),
    })
  })

  test('returns binary tensors as views of the body', () => {
    const json = { inputs: [input('UINT8', [3], undefined, { binary_data_size: 3, kept: 1 })] }
    const head = bytes(JSON.stringify(json))
    const body = new Uint8Array(Buffer.concat([head, Uint8Array.of(7, 8, 9)]))
    const { inputs } = readMessage(body, head.length)
    const { data, parameters } = inputs[0]!
    expect(data).toEqual({ raw: Uint8Array.of(7, 8, 9) })
    expect('raw' in data && data.raw.buffer === body.buffer).toBe(true)
    expect([...parameters]).toEqual([['kept', 1]])
  })

  test('determines which outputs are binary, and removes the parameters that request binary outputs', () => {
    const all = read({ inputs: [], parameters: { binary_data_output: true, a: 'b', none: null } })
    expect(all.isBinary).toBe(true)
    expect([...all.parameters]).toEqual([['a', 'b']])
    const some = read({
      inputs: [],
      outputs: [{ name: 'y', parameters: { binary_data: true, classification: 2 } }, { name: 'z' }],
    })
    expect(some.outputs).toEqual([
      { name: 'y', isBinary: true, parameters: new Map([['classification', 2]]) },
      { name: 'z', isBinary: false, parameters: new Map() },
    ])
  })

  test.each([
    ['a numeric id', { id: 7, inputs: [] }, 'string_type'],
    ['a body that is a list', [], 'model_attributes_type'],
    ['a body without inputs', {}, 'missing'],
    ['NaN', '{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[NaN]}]}', 'json_invalid'],
    ['null in FP32', { inputs: [input('FP32', [1], [null])] }, 'invalid_value'],
    [
      'a shape whose product overflows',
      { inputs: [input('FP32', Array(40).fill(2 ** 31 - 1) as number[], [1])] },
      'invalid_value',
    ],
    [
      'an infinite product times 0',
      { inputs: [input('FP32', [...(Array(40).fill(2 ** 31 - 1) as number[]), 0], [])] },
      'invalid_value',
    ],
    ['a negative size', { inputs: [input('FP32', [-1], [1])] }, 'invalid_input'],
    ['a fraction in a shape', { inputs: [input('FP32', [1.5], [1])] }, 'int_type'],
    [
      'an INT64 above its range',
      '{"inputs":[{"name":"x","shape":[1],"datatype":"INT64","data":[9223372036854775808]}]}',
      'invalid_value',
    ],
    ['a UINT8 above its range', { inputs: [input('UINT8', [1], [256])] }, 'invalid_value'],
    ['an FP16 above its range', { inputs: [input('FP16', [1], [70_000])] }, 'invalid_value'],
    ['an unknown datatype', { inputs: [input('FP8', [1], [1])] }, 'invalid_input'],
    ['a datatype that is a member of Object', { inputs: [input('constructor', [1], [1])] }, 'invalid_input'],
    ['a parameter that is an object', { inputs: [], parameters: { a: {} } }, 'scalar_type'],
    [
      'binary_data_size without bytes',
      { inputs: [input('FP32', [1], undefined, { binary_data_size: 4 })] },
      'invalid_value',
    ],
    [
      'data and binary_data_size',
      { inputs: [input('UINT8', [0], [], { binary_data_size: 0 })] },
      'invalid_input',
    ],
  ])('rejects %s', (_, body, code) => {
    expect(errorOf(() => read(body)).code).toBe(code)
  })

  const sized = (datatype: string, shape: number[], size: number): object => ({
    inputs: [input(datatype, shape, undefined, { binary_data_size: size })],
  })
  test.each([
    ['too few bytes', sized('FP32', [2], 4), new Uint8Array(4), 'invalid_value'],
    ['bytes that belong to no input', sized('FP32', [1], 4), new Uint8Array(5), 'invalid_value'],
    ['a tensor that is larger than the body', sized('FP32', [1], 8), new Uint8Array(4), 'invalid_value'],
    [
      'a size that is not a number',
      { inputs: [input('FP32', [1], undefined, { binary_data_size: '4' })] },
      new Uint8Array(4),
      'invalid_input',
    ],
    ['a truncated length of an element', sized('BYTES', [1], 3), new Uint8Array(3), 'invalid_value'],
    ['an element beyond the tensor', sized('BYTES', [1], 5), element(2, 65), 'invalid_value'],
    ['an element of 4 GB', sized('BYTES', [1], 5), Uint8Array.of(255, 255, 255, 255, 65), 'invalid_value'],
    ['a wrong number of elements', sized('BYTES', [2], 5), element(1, 65), 'invalid_value'],
  ])('rejects a binary body with %s', (_, json, tensors, code) => {
    expect(errorOf(() => readBinary(json, tensors)).code).toBe(code)
  })

  test('accepts elements of BYTES that are not text, such as an image', () => {
    const { inputs } = readBinary(sized('BYTES', [1], 6), element(2, 0xff, 0xd8))
    expect(inputs[0]!.data).toEqual({ raw: element(2, 0xff, 0xd8) })
  })

  test('rejects a request that names an output twice, because the response would contain it twice', () => {
    const outputs = [{ name: 'y' }, { name: 'z' }, { name: 'y' }]
    expect(errorOf(() => read({ inputs: [], outputs }))).toMatchObject({
      code: 'invalid_input',
      message: 'Output "y" is requested twice',
    })
  })

  test('rejects a JSON length beyond the body', () => {
    expect(errorOf(() => readMessage(bytes('{}'), 3)).message).toContain('the body has 2 bytes')
  })
})

describe('writeMessage', () => {
  const response: MessageResponse = {
    modelName: 'm',
    modelVersion: '',
    id: '',
    parameters: new Map([['big', 18446744073709551615n]]),
    outputs: [
      {
        name: 'a',
        datatype: 'FP32',
        shape: [2],
        parameters: new Map([['binary_data_size', 8]]),
        raw: new Uint8Array(Float32Array.of(0.5, NaN).buffer),
      },
      { name: 'b', datatype: 'BF16', shape: [1], parameters: new Map(), raw: Uint8Array.of(0x80, 0x3f) },
    ],
  }
  const written = (outputs: { name: string; isBinary: boolean }[], isBinary = false): string => {
    const { parts, jsonLength } = writeMessage(
      response,
      { outputs: outputs.map((output) => ({ ...output, parameters: new Map() })), isBinary },
      1_000,
    )
    return `${jsonLength === undefined ? 'json' : parts[0]!.length === jsonLength} ${Buffer.concat(parts.slice(1)).toString('hex')} ${Buffer.from(parts[0]!).toString()}`
  }

  test('writes JSON with flat data and exact numbers', () => {
    expect(written([])).toBe(
      'json  {"model_name":"m","parameters":{"big":18446744073709551615},"outputs":[{"name":"a","datatype":"FP32","shape":[2],"data":[0.5,null]},{"name":"b","datatype":"BF16","shape":[1],"data":[1]}]}',
    )
  })

  test('writes the outputs in the requested order, with binary outputs after the JSON', () => {
    expect(
      written([
        { name: 'b', isBinary: true },
        { name: 'a', isBinary: false },
      ]),
    ).toBe(
      'true 803f {"model_name":"m","parameters":{"big":18446744073709551615},"outputs":[{"name":"b","datatype":"BF16","shape":[1],"parameters":{"binary_data_size":2}},{"name":"a","datatype":"FP32","shape":[2],"data":[0.5,null]}]}',
    )
    expect(written([], true)).toMatch(/^true 0000003f0000c07f803f /)
  })

  test('reports a requested output that the model does not have', () => {
    expect(errorOf(() => written([{ name: 'c', isBinary: false }])).message).toBe(
      'The model has no output "c"; its outputs are "a", "b"',
    )
  })

  test.each([
    ['FP32', [3], new Uint8Array(8), 'invalid_value', 'cannot reshape 8 bytes of output "y" into FP32 (3,)'],
    ['BYTES', [1], Uint8Array.of(1, 0), 'invalid_value', 'output "y": an element of BYTES is truncated'],
    [
      'BYTES',
      [1],
      Uint8Array.of(1, 0, 0, 0, 0xff),
      'invalid_value',
      'an element of "y" is not UTF-8; request the output as binary data',
    ],
    ['FP8', [1], new Uint8Array(1), 'unsupported', '"y" has datatype "FP8", which V2 does not define'],
  ])('reports %s data that cannot be written as JSON', (datatype, shape, raw, code, message) => {
    const output = { name: 'y', datatype, shape, parameters: new Map<string, string>(), raw }
    const write = (): unknown =>
      writeMessage({ ...response, outputs: [output] }, { outputs: [], isBinary: false }, 1_000)
    expect(errorOf(write)).toMatchObject({ code, message })
  })

  test.each([
    ['UINT8', 1_000_000, new Uint8Array(1_000_000)],
    ['FP16', 500_000, new Uint8Array(1_000_000)],
    ['BYTES', 250_000, new Uint8Array(1_000_000)],
  ])('stops writing %s as soon as the limit is exceeded', (datatype, count, raw) => {
    let read = 0
    const output = { name: 'y', datatype, shape: [count], parameters: new Map<string, string>() }
    const outputs = Array.from({ length: 100 }, () => ({
      ...output,
      get raw() {
        read += 1
        return raw
      },
    }))
    const write = (isBinary: boolean): unknown =>
      writeMessage({ ...response, outputs }, { outputs: [], isBinary }, 1_500_000)
    for (const isBinary of [false, true]) expect(errorOf(() => write(isBinary)).code).toBe('too_large')
    expect(read).toBeLessThan(10)
  })

  test('keeps a byte order mark in an element of BYTES', () => {
    const raw = Uint8Array.of(3, 0, 0, 0, 0xef, 0xbb, 0xbf)
    const output = { name: 'y', datatype: 'BYTES', shape: [1], parameters: new Map<string, string>(), raw }
    const { parts } = writeMessage(
      { ...response, outputs: [output] },
      { outputs: [], isBinary: false },
      1_000,
    )
    expect(Buffer.from(parts[0]!).toString()).toContain('"data":["\ufeff"]')
  })

  test('reads values that are not aligned', () => {
    const buffer = new Uint8Array(9)
    buffer.set(new Uint8Array(Float64Array.of(1e300).buffer), 1)
    const output = {
      name: 'y',
      datatype: 'FP64',
      shape: [1],
      parameters: new Map<string, string>(),
      raw: buffer.subarray(1),
    }
    const { parts } = writeMessage(
      { ...response, outputs: [output] },
      { outputs: [], isBinary: false },
      1_000,
    )
    expect(Buffer.from(parts[0]!).toString()).toContain('"data":[1e+300]')
  })
})

const declared = (
  datatype: string,
  shape: number[],
): { name: string; datatype: string; shape: number[] }[] => [{ name: 'X', datatype, shape }]

describe('readBareTensor', () => {
  test.each([
    ['FP32', [-1, 2], 16, [2, 2]],
    ['FP32', [2, 2], 16, [2, 2]],
    ['UINT8', [-1, -1], 5, [1, 5]],
    ['BYTES', [-1, 1], 5, [1, 1]],
    ['BYTES', [1], 5, [1]],
  ])(
    'for %s %j, the tensor has the shape that the metadata declares',
    (datatype, shape, length, expected) => {
      const { inputs, isBinary } = readBareTensor(new Uint8Array(length), declared(datatype, shape))
      expect(inputs[0]).toMatchObject({ name: 'X', shape: expected })
      expect(isBinary).toBe(true)
    },
  )

  test.each([
    ['a model with two inputs', [...declared('FP32', [1]), ...declared('FP32', [1])], 4],
    ['a model without metadata', [], 4],
    ['several variable dimensions', declared('FP32', [-1, -1, -1]), 4],
    ['a size that does not fit', declared('FP32', [-1, 64]), 255],
    ['a size of 0 beside a variable dimension', declared('FP32', [-1, 0]), 4],
    ['an unknown datatype', declared('FP8', [1]), 1],
  ])('rejects %s', (_, inputs, length) => {
    expect(errorOf(() => readBareTensor(new Uint8Array(length), inputs)).code).toMatch(/^invalid_/)
  })
})
