// For random mixes of requests, compares the answers of a model with batching with those of the same model without.
import { batchRulesOf, Problem } from '@inferwire/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EndpointRequest, EndpointResponse } from '../step.ts'
import { createLog, OperationFigures } from '../telemetry/index.ts'
import { ModelBatcher } from './batching/model-batcher.ts'
import { ByteCount } from './testing/batch-arrangement.ts'
import { answer, BatchModel, requestOf, TestDeadline } from './testing/batch-model.ts'
import { withBatching } from './with-batching.ts'

const row = fc.oneof(
  { weight: 6, arbitrary: fc.array(fc.double({ noNaN: true }), { minLength: 2, maxLength: 2 }) },
  { weight: 1, arbitrary: fc.array(fc.integer(), { minLength: 3, maxLength: 3 }) },
  { weight: 1, arbitrary: fc.constant('poison') },
  { weight: 1, arbitrary: fc.record({ 'a,]': fc.string() }) },
)

const predictBody = fc
  .record({
    instances: fc.array(row, { minLength: 1, maxLength: 3 }),
    other: fc.constantFrom({}, {}, { signature_name: 'ü' }),
  })
  .map(({ instances, other }) => JSON.stringify({ instances, ...other }))

const malformed = fc.constantFrom(
  '{"instances":[[1,2],]}',
  '{"instances":[[1,2}]}',
  '{"instances":[[1,2]',
  '{"instances":[1 2]}',
  '{"instances":[[1,2]]} x',
  '{"instances":{"a":1}}',
  '{"inputs":[]}',
  '{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2,3]}]}',
)

interface Body {
  readonly body: string | Buffer
  readonly jsonLength?: number
}

const inferBody = fc
  .record({
    rows: fc.array(
      fc.tuple(fc.constantFrom<number>(1, 2.5, 666), fc.string({ unit: 'grapheme', maxLength: 3 })),
      {
        minLength: 1,
        maxLength: 3,
      },
    ),
    id: fc.constantFrom(undefined, undefined, 'a', 'ü"\\'),
    columns: fc.constantFrom(1, 2),
    // A wrong size makes the request invalid; two of them together would look valid.
    surplus: fc.constantFrom(0, 0, 0, 0, 1, -1),
    isBinary: fc.boolean(),
    wantsBinary: fc.boolean(),
    isNested: fc.boolean(),
  })
  .map(({ rows, id, columns, surplus, isBinary, wantsBinary, isNested }): Body => {
    const x = rows.map(([value]) => Array.from({ length: columns }, () => value))
    const values: number[] = surplus > 0 ? [...x.flat(), 7] : surplus < 0 ? x.flat().slice(1) : x.flat()
    const words = rows.map(([, word]) => word)
    const bytes = Buffer.from(Float32Array.from(values).buffer)
    const data = isNested && surplus === 0 ? x : values
    const json = JSON.stringify({
      ...(id === undefined ? {} : { id }),
      ...(wantsBinary ? { parameters: { binary_data_output: true } } : {}),
      inputs: [
        {
          name: 'x',
          datatype: 'FP32',
          shape: [rows.length, columns],
          ...(isBinary ? { parameters: { binary_data_size: bytes.length } } : { data }),
        },
        { name: 'words', datatype: 'BYTES', shape: [rows.length], data: words },
      ],
    })
    if (!isBinary) return { body: json }
    return { body: Buffer.concat([Buffer.from(json), bytes]), jsonLength: Buffer.byteLength(json) }
  })

interface Asked {
  readonly request: EndpointRequest
  /** Turn of the event loop in which the request is sent, and in which it is cancelled. */
  readonly atTurn: number
  readonly cancelledAtTurn: number | undefined
}

const asked = fc
  .record({
    given: fc.oneof(
      { weight: 4, arbitrary: predictBody.map((body): Body => ({ body })) },
      { weight: 4, arbitrary: inferBody },
      { weight: 1, arbitrary: malformed.map((body): Body => ({ body })) },
    ),
    headers: fc.constantFrom([], [], ['x-tenant', 'a'], ['x-tenant', 'b']),
    mustRunAlone: fc.constantFrom(false, false, false, true),
    atTurn: fc.nat(8),
    cancelledAtTurn: fc.option(fc.nat(16), { nil: undefined, freq: 8 }),
  })
  .map(({ given: { body, jsonLength }, headers, mustRunAlone, atTurn, cancelledAtTurn }): Asked => {
    const carried: Partial<EndpointRequest> =
      jsonLength === undefined
        ? {}
        : { contentType: 'application/octet-stream', inferenceHeaderContentLength: String(jsonLength) }
    return { request: requestOf(body, { headers, mustRunAlone, ...carried }), atTurn, cancelledAtTurn }
  })

const options = fc.record({
  concurrency: fc.constantFrom(1, 2, 4),
  sizeMax: fc.constantFrom(2, 5, 64),
  delayMaxMs: fc.constantFrom(0, 0, 1),
  isLearning: fc.boolean(),
  requestBytesMax: fc.constantFrom(200, 100_000),
})

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

// What the client receives, with the JSON parsed: white space and the order of members are not significant.
function shown({ body, inferenceHeaderContentLength: length, ...rest }: EndpointResponse): unknown {
  const jsonLength = length === undefined ? body.length : Number(length)
  const json: unknown = JSON.parse(Buffer.from(body.subarray(0, jsonLength)).toString())
  return { ...rest, isBinary: length !== undefined, json, binary: [...body.subarray(jsonLength)] }
}

function single(request: EndpointRequest): unknown {
  try {
    return shown(answer(request))
  } catch (error) {
    return error
  }
}

let requests = 0
let calls = 0

test('batched answers equal those of single calls, whatever else is in the mix', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(asked, { minLength: 2, maxLength: 24 }), options, async (all, limits) => {
      const log = createLog({ level: 'error', format: 'json' }, { write: () => undefined })
      const budget = new ByteCount()
      const batcher = new ModelBatcher({ model: 'm', log, budget, ...limits })
      const model = new BatchModel(async () => {
        for (let turns = 0; turns < 3; turns += 1) await turn()
      })
      const bind = (name: 'predict' | 'infer', dialect: 'v1' | 'v2') =>
        withBatching(model, {
          batcher,
          rules: batchRulesOf(name, dialect)!,
          figures: new OperationFigures('m', name),
        })
      const predict = bind('predict', 'v1')
      const infer = bind('infer', 'v2')
      const outcomes: Promise<unknown>[] = []
      for (let now = 0; now <= 16; now += 1) {
        for (const { request, atTurn, cancelledAtTurn } of all) {
          if (atTurn === now) {
            const endpoint = request.body.includes('"instances"') ? predict : infer
            outcomes[all.findIndex((other) => other.request === request)] = endpoint
              .call(request)
              .then(shown, (error: unknown) => error)
          }
          if (cancelledAtTurn === now && now >= atTurn) (request.deadline as TestDeadline).stop()
        }
        await turn()
      }
      for (const [index, { request }] of all.entries()) {
        const outcome = await outcomes[index]
        if (outcome instanceof Problem && outcome.code === 'cancelled') {
          expect(request.deadline.problem).toBe(outcome)
        } else {
          expect(outcome).toEqual(single(request))
        }
      }
      expect(model.openMax).toBeLessThanOrEqual(limits.concurrency)
      expect([batcher.running, batcher.waiting]).toEqual([0, 0])
      expect(budget.bytes).toBe(0)
      requests += all.length
      calls += model.calls.length
    }),
    { numRuns: 300 },
  )
  expect(calls).toBeLessThan(requests)
})
