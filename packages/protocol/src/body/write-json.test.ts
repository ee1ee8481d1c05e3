import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseJson } from './json.ts'
import { writeJson } from './write-json.ts'

test('writes the same text as JSON.stringify if JSON.stringify loses nothing', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(writeJson(value)).toBe(JSON.stringify(value))
    }),
  )
  const hidden = { a: { toJSON: () => undefined }, b: { toJSON: (key: string) => ({ key }) } }
  expect(writeJson(hidden)).toBe(JSON.stringify(hidden))
  const dated = { at: new Date(0), left: undefined, deep: [[{}], []], text: 'ü"\ud800' }
  expect(writeJson(dated)).toBe(JSON.stringify(dated))
  expect(writeJson(Object.assign(Object.create(null) as object, { a: 1 }))).toBe('{"a":1}')
})

test('writes every typed array, including a Float32Array and a Buffer, as a list', () => {
  expect(writeJson({ instances: [new Float32Array([1.5, -2]), new Uint8Array([1, 2]).subarray(1)] })).toBe(
    '{"instances":[[1.5,-2],[2]]}',
  )
  expect(writeJson({ a: Buffer.from([1, 2]), b: new Float64Array(0) })).toBe('{"a":[1,2],"b":[]}')
})

test('writes all digits of a BigInt and of a BigInt64Array', () => {
  const written = writeJson({ data: [9007199254740993n, new BigInt64Array([-(2n ** 63n)])] })
  expect(written).toBe('{"data":[9007199254740993,[-9223372036854775808]]}')
  expect(parseJson(new TextEncoder().encode(written))).toEqual({ data: [9007199254740993n, [-(2n ** 63n)]] })
})

const loop: unknown[] = []
loop.push({ loop })

test.each<[name: string, value: unknown, message: RegExp]>([
  [
    'NaN',
    { instances: [[1, Number.NaN]] },
    /^body\.instances\[0\]\[1\] is NaN, which JSON cannot represent\.$/,
  ],
  ['Infinity', { 'a b': -Infinity }, /^body\["a b"\] is -Infinity/],
  ['NaN in a typed array', { x: new Float32Array([0, Number.NaN]) }, /^body\.x\[1\] is NaN/],
  ['undefined in a list', [undefined], /^body\[0\] is undefined/],
  ['a hole in a list', Array.from({ length: 3 }).fill(1, 0, 2), /^body\[2\] is undefined/],
  ['an invalid Date', { at: [new Date(Number.NaN)] }, /^body\.at\[0\] is an invalid Date\.$/],
  ['a list element whose toJSON returns undefined', [{ toJSON: () => undefined }], /^body\[0\] is undefined/],
  ['a function', { f: () => 1 }, /^body\.f is a function/],
  ['a symbol', { s: Symbol('x') }, /^body\.s is a symbol/],
  [
    'an ArrayBuffer',
    { data: new ArrayBuffer(4) },
    /^body\.data is of type ArrayBuffer; give a list or an object/,
  ],
  ['a DataView', { data: new DataView(new ArrayBuffer(4)) }, /^body\.data is of type DataView/],
  ['a Map', new Map([[1, 2]]), /^body is of type Map/],
  ['a Set', { inputs: new Set([1]) }, /^body\.inputs is of type Set/],
  ['a promise that was not awaited', { inputs: Promise.resolve([1]) }, /^body\.inputs is of type Promise/],
  ['a body that contains itself', loop, /nested deeper than 1000 levels, or contains itself/],
])('throws a TypeError that names the position of %s', (_name, value, message) => {
  expect(() => writeJson(value)).toThrow(TypeError)
  expect(() => writeJson(value)).toThrow(message)
})
