// Target: compares the JSON reader of bodies with JSON.parse.
import { JsonSyntaxError, parseJson, type Json } from '@inferwire/protocol'
import { JSON_DEPTH_MAX } from '../../../packages/protocol/src/internal.ts'
import { claim, shapeOf, tokens, words, type FuzzTarget } from '../target.ts'

/** Fuzzes the JSON reader of bodies. */
export const target: FuzzTarget = {
  name: 'json',
  inputBytesMax: 16_384,
  seedInputs: tokens(
    '{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1.5,-2e3]}],"id":"é\\u00e9\\n"}',
    '[[[]],{"a":{"a":[null,true,false]}},"",0,-0,1e-7,9007199254740993,18446744073709551615]',
    '{"__proto__":{"toString":1},"constructor":{"prototype":{"x":1}},"a":1,"a":2}',
    '[NaN,Infinity,-Infinity]',
    ' \t\r\n"\\ud83d\\ude00\\/\\\\"\n',
  ),
  dictionary: [
    ...words(
      '{ } [ ] , : " \\ null true false NaN Infinity -Infinity -0 1e400 1E+5 0.1 01 1. .5 \\u0000 \\ud800',
    ),
    ...words('{"a": "__proto__": [[[[[[[[[[ 9007199254740993'),
    ...tokens([0xef, 0xbb, 0xbf], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0x1f]),
  ],
  run(input) {
    const strict = read(input, false)
    const python = read(input, true)
    claim(
      !('value' in strict) || 'value' in python,
      'when Python’s tokens are allowed, the reader rejects valid JSON',
    )
    const text = decoded(input)
    if (text === undefined) {
      claim('problem' in strict && 'problem' in python, 'bytes that are not UTF-8 were read')
      return 'not UTF-8'
    }
    if ('value' in python && !('value' in strict)) {
      claim(
        /NaN|Infinity/.test(text),
        'the reader accepts text without Python’s tokens only when these tokens are allowed',
      )
    }
    const expected = parsed(text)
    if ('problem' in strict) {
      if (expected !== undefined) checkRefusal(strict.problem, text)
      return shapeOf(strict.problem.message)
    }
    claim(expected !== undefined, 'the reader accepts text that JSON.parse rejects')
    checkSame(strict.value, expected.value)
    return `value of ${bucket(depthOf(text))} levels, ${/\\/.test(text)} ${/\d{16}/.test(text)} ${typeof strict.value}`
  },
}

type Result = { readonly value: Json } | { readonly problem: JsonSyntaxError }

function read(input: Buffer, nonFinite: boolean): Result {
  try {
    return { value: parseJson(input, { nonFinite }) }
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    claim(error.offset >= 0 && error.offset <= input.length, 'the offset is outside of the body')
    return { problem: error }
  }
}

function decoded(input: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(input)
  } catch {
    return undefined
  }
}

function parsed(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}

// The reader may reject text that JSON.parse accepts, but only because of the text's depth, or because of numbers that
// no tensor can contain.
function checkRefusal({ message }: JsonSyntaxError, text: string): void {
  if (message.startsWith('Nested deeper'))
    return claim(depthOf(text) > JSON_DEPTH_MAX, 'the reader rejects text within the depth limit')
  claim(message.startsWith('Number out of range'), `the reader rejects what JSON.parse accepts: ${message}`)
  claim(/[eE]|\d{40}/.test(text), 'the reader rejects a number within the range')
}

function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  for (const character of text.replaceAll(/"(?:[^"\\]|\\.)*"/gs, '')) {
    if (character === '[' || character === '{') deepest = Math.max(deepest, ++depth)
    else if (character === ']' || character === '}') depth -= 1
  }
  return deepest
}

function bucket(depth: number): number {
  return depth < 4 ? depth : Math.ceil(depth / 10) * 10
}

// The reader limits the depth, so the recursion here is limited as well.
function checkSame(own: Json, expected: unknown): void {
  if (typeof own === 'bigint') return claim(Number(own) === expected, 'an integer differs')
  if (typeof own !== 'object' || own === null) return claim(Object.is(own, expected), 'a value differs')
  claim(typeof expected === 'object' && expected !== null, 'a value differs')
  if (Array.isArray(own)) {
    claim(Array.isArray(expected) && own.length === expected.length, 'a list differs')
    for (const [index, item] of own.entries()) checkSame(item, expected[index])
    return
  }
  claim(Object.getPrototypeOf(own) === null, 'an object has a prototype')
  const keys = Object.keys(own)
  claim(keys.join('\0') === Object.keys(expected).join('\0'), 'the keys differ')
  for (const key of keys) checkSame(own[key]!, (expected as Record<string, unknown>)[key])
}
