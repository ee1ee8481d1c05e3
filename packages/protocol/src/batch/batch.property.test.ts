// Compares merged requests and divided answers with values parsed by an independent reader.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readV2Request, type V2Request } from '../body/v2-request.ts'
import type { CarriedBody } from '../body/carried-body.ts'
import type { BatchMember, BatchRules } from './batch-rules.ts'
import { instancesRules } from './instances.ts'
import { tensorsRules } from './tensors.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (body: Uint8Array): string => new TextDecoder().decode(body)
const json = (text: string): CarriedBody => ({ body: bytes(text), jsonLength: undefined })
const value = fc.jsonValue({ maxDepth: 2 })
const space = fc.constantFrom('', ' ', '\n\t')

// One of three sets of members other than `instances`. All requests of a test case have the same set.
const others = fc.constantFrom<Record<string, unknown>>(
  {},
  { signature_name: 's' },
  { p: { 'ü,]': [1] }, q: 2 },
)

const instancesRequest = fc
  .record({
    instances: fc.array(value, { minLength: 1, maxLength: 4 }),
    others,
    gap: space,
    isLast: fc.boolean(),
  })
  .map(({ instances, others, gap, isLast }) => {
    const entries = Object.entries(others).map(
      ([key, member]) => `"${key}"${gap}:${gap}${JSON.stringify(member)}`,
    )
    const list = `"instances":[${gap}${instances.map((item) => JSON.stringify(item)).join(`${gap},${gap}`)}${gap}]`
    const text = `${gap}{${gap}${(isLast ? [...entries, list] : [list, ...entries]).join(`,${gap}`)}${gap}}${gap}`
    return { text, instances, others }
  })

function groupsOf<Request>(
  rules: BatchRules,
  requests: readonly Request[],
  carry: (request: Request) => CarriedBody,
): [BatchMember, Request][][] {
  const groups = new Map<string, [BatchMember, Request][]>()
  for (const request of requests) {
    const member = rules.read(carry(request))
    if (member === undefined) continue
    const group = groups.get(member.key) ?? []
    group.push([member, request])
    groups.set(member.key, group)
  }
  return [...groups.values()].filter(({ length }) => length > 1)
}

test('a merged call contains the instances of the members in order, and every member receives its own predictions', () => {
  let merged = 0
  fc.assert(
    fc.property(fc.array(instancesRequest, { minLength: 2, maxLength: 8 }), (requests) => {
      for (const group of groupsOf(instancesRules, requests, ({ text }) => json(text))) {
        const members = group.map(([member]) => member)
        const body = JSON.parse(textOf(instancesRules.merge(members).body)) as Record<string, unknown>
        merged += 1
        expect(body).toEqual(
          JSON.parse(
            JSON.stringify({
              ...group[0]![1].others,
              instances: group.flatMap(([, { instances }]) => instances),
            }),
          ),
        )
        const answer = JSON.stringify({ version: 1, predictions: body['instances'] }, null, 1)
        const parts = instancesRules.split(members, json(answer))!
        expect(parts.map(({ body }) => JSON.parse(textOf(body)) as unknown)).toEqual(
          group.map(([, { instances }]) => ({
            version: 1,
            predictions: JSON.parse(JSON.stringify(instances)) as unknown,
          })),
        )
      }
    }),
    { numRuns: 500 },
  )
  expect(merged).toBeGreaterThan(100)
})

const MODEL = {
  name: 'm',
  inputs: [
    { name: 'x', datatype: 'FP32' as const },
    { name: 'words', datatype: 'BYTES' as const },
  ],
  outputs: [{ name: 'y' }],
}

interface TensorsRequest extends CarriedBody {
  readonly id: string | undefined
  readonly x: number[][]
  readonly words: string[]
}

// Requests with two tensors. `encoding` determines whether the data of each tensor is flat, nested or binary.
const tensorsRequest = fc
  .record({
    id: fc.option(fc.string({ maxLength: 4, unit: 'grapheme' }), { nil: undefined }),
    rows: fc.array(fc.tuple(fc.integer(), fc.integer(), fc.string({ unit: 'grapheme', maxLength: 5 })), {
      minLength: 1,
      maxLength: 4,
    }),
    encoding: fc.constantFrom('flat', 'nested', 'binary', 'mixed'),
    columns: fc.constantFrom(1, 2),
    parameters: fc.constantFrom(undefined, { binary_data_output: true }),
  })
  .map(({ id, rows, encoding, columns, parameters }): TensorsRequest => {
    const x = rows.map(([left, right]) => (columns === 1 ? [left] : [left, right]))
    const words = rows.map(([, , word]) => word)
    const binary = [
      ...(encoding === 'binary' ? [new Uint8Array(Float32Array.from(x.flat()).buffer)] : []),
      ...(encoding === 'binary' || encoding === 'mixed' ? [elementsOf(words)] : []),
    ]
    const sizes = binary.map(({ length }) => ({ parameters: { note: 'ü', binary_data_size: length } }))
    const text = JSON.stringify({
      ...(id === undefined ? {} : { id }),
      inputs: [
        {
          name: 'x',
          shape: [rows.length, columns],
          datatype: 'FP32',
          ...(encoding === 'binary' ? sizes[0] : { data: encoding === 'nested' ? x : x.flat() }),
        },
        {
          name: 'words',
          datatype: 'BYTES',
          ...(binary.length > 0 ? sizes.at(-1) : { data: words }),
          shape: [rows.length],
        },
      ],
      ...(parameters === undefined ? {} : { parameters }),
    })
    const body = concat([bytes(text), ...binary])
    return { id, x, words, body, jsonLength: binary.length === 0 ? undefined : bytes(text).length }
  })

function elementsOf(words: readonly string[]): Uint8Array {
  return concat(
    words.flatMap((word) => {
      const text = bytes(word)
      return [new Uint8Array(Uint32Array.of(text.length).buffer), text]
    }),
  )
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}

const inputsOf = (request: V2Request): unknown[] =>
  request.inputs.map(({ name, shape, data }) => ({
    name,
    shape,
    data: Array.from(data as Iterable<unknown>),
  }))

test('a merged call contains the tensors of the members joined along axis 0, and every member receives its own rows and id', () => {
  let count = 0
  fc.assert(
    fc.property(
      fc.array(tensorsRequest, { minLength: 2, maxLength: 8 }),
      fc.boolean(),
      (requests, isNested) => {
        for (const group of groupsOf(tensorsRules, requests, (request) => request)) {
          const members = group.map(([member]) => member)
          const merged = tensorsRules.merge(members)
          count += 1
          const x = group.flatMap(([, request]) => request.x)
          const words = group.flatMap(([, request]) => request.words)
          const read = readV2Request(MODEL, merged.body, merged.jsonLength)
          expect(inputsOf(read)).toEqual([
            { name: 'x', shape: [x.length, x[0]!.length], data: Array.from(Float32Array.from(x.flat())) },
            { name: 'words', shape: [x.length], data: words },
          ])
          expect(read.id).toBe(group[0]![1].id)
          const parts = tensorsRules.split(members, answerOf(read.id, x, words, isNested))!
          expect(parts.map(readAnswer)).toEqual(
            group.map(([, request]) => ({
              model_name: 'm',
              id: request.id,
              y: { shape: [request.x.length, request.x[0]!.length], data: request.x.flat() },
              z: request.words,
            })),
          )
        }
      },
    ),
    { numRuns: 500 },
  )
  expect(count).toBeGreaterThan(100)
})

// An answer with one JSON output and one binary output.
function answerOf(id: string | undefined, x: number[][], words: string[], isNested: boolean): CarriedBody {
  const binary = elementsOf(words)
  const text = bytes(
    JSON.stringify({
      model_name: 'm',
      id: id ?? 'made-up',
      outputs: [
        { name: 'y', datatype: 'FP32', shape: [x.length, x[0]!.length], data: isNested ? x : x.flat() },
        { name: 'z', datatype: 'BYTES', shape: [x.length], parameters: { binary_data_size: binary.length } },
      ],
    }),
  )
  return { body: concat([text, binary]), jsonLength: text.length }
}

function readAnswer({ body, jsonLength }: CarriedBody): unknown {
  const { outputs, ...rest } = JSON.parse(textOf(body.subarray(0, jsonLength))) as {
    outputs: { shape: number[]; data: unknown[]; parameters: { binary_data_size: number } }[]
  }
  const elements = body.subarray(jsonLength)
  expect(outputs[1]!.parameters.binary_data_size).toBe(elements.length)
  const words: string[] = []
  for (let at = 0; at < elements.length;) {
    const length = new DataView(elements.buffer, elements.byteOffset + at).getUint32(0, true)
    words.push(textOf(elements.subarray(at + 4, at + 4 + length)))
    at += 4 + length
  }
  expect(outputs[1]!.shape).toEqual([words.length])
  return { id: undefined, ...rest, y: { shape: outputs[0]!.shape, data: outputs[0]!.data.flat() }, z: words }
}

test('arbitrary bytes are read without an exception, and an accepted request is merged into valid JSON', () => {
  const text = fc.oneof(
    fc.string(),
    fc.json().map((inner) => `{"instances":[${inner}`),
    fc.json().map((inner) => `{"instances":${inner}}`),
    fc.json().map((inner) => `{"inputs":[${inner}]}`),
  )
  fc.assert(
    fc.property(text, fc.option(fc.nat(60), { nil: undefined }), (given, jsonLength) => {
      const request = { body: bytes(given), jsonLength }
      tensorsRules.read(request)
      const member = instancesRules.read(request)
      if (member === undefined) return
      const { body } = instancesRules.merge([member, member])
      expect((JSON.parse(textOf(body)) as { instances: unknown[] }).instances).toHaveLength(2 * member.rows)
    }),
    { numRuns: 2_000 },
  )
})

test('an arbitrary answer is divided into one part per member, or not at all', () => {
  const instances = [1, 2].map((row) => instancesRules.read(json(`{"instances":[${row}]}`))!)
  const input = '{"name":"x","shape":[1],"datatype":"BYTES","data":["a"]}'
  const tensors = [1, 2].map(() => tensorsRules.read(json(`{"inputs":[${input}]}`))!)
  const output = fc.constantFrom(
    '{"name":"y","shape":[2],"datatype":"FP32","data":[1,2]}',
    '{"name":"y","shape":[2,1],"datatype":"FP32","data":[[1],[2]]}',
    '{"name":"y","shape":[2,2],"datatype":"FP32","data":[1,2]}',
    '{"name":"y","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":8}}',
    '{"name":"y","shape":[2],"datatype":"FP32","parameters":{"binary_data_size":9}}',
    '{"name":"y","shape":[2],"datatype":"FP32","parameters":{"binary_data_size":1e99}}',
    '{"name":"y","shape":[-2],"datatype":"FP32","data":[1,2]}',
    '{"name":"y"}',
    '[]',
  )
  const text = fc.oneof(
    fc.string(),
    fc.json().map((inner) => `{"predictions":${inner}}`),
    fc.array(fc.json(), { minLength: 2, maxLength: 2 }).map((two) => `{"predictions":[${two.join()}]}`),
    fc.array(output, { maxLength: 3 }).map((all) => `{"outputs":[${all.join()}]}`),
    fc.array(output, { maxLength: 3 }).map((all) => `{"outputs":[${all.join()}]}\0\0\0\0\u0001\0\0\0`),
  )
  fc.assert(
    fc.property(text, fc.option(fc.nat(400), { nil: undefined }), (given, jsonLength) => {
      const body = bytes(given)
      for (const length of [undefined, jsonLength, given.indexOf('\0')]) {
        const answer = { body, jsonLength: length === -1 ? undefined : length }
        expect([undefined, 2]).toContain(instancesRules.split(instances, answer)?.length)
        expect([undefined, 2]).toContain(tensorsRules.split(tensors, answer)?.length)
      }
    }),
    { numRuns: 2_000 },
  )
})
