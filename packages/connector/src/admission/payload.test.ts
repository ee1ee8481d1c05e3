// What of a body is judged by its properties.
import type { Dialect, OperationName } from '@inferwire/protocol'
import { expect, test } from 'vitest'
import type { BoundOperation, ExposedModel } from '../step.ts'
import { judgePayload, type JudgedBody } from './payload.ts'

const LENGTH = 'inference-header-content-length'
const JSON_PART = '{"inputs":[]}'
const WITH_TAIL = Buffer.concat([Buffer.from(JSON_PART), Buffer.from([0, 1, 255])])

function judge(
  dialect: Dialect,
  payload: Buffer,
  contentType: string | undefined,
  userProperties: string[],
  name: OperationName = dialect === 'v1' ? 'predict' : 'infer',
): JudgedBody {
  const delivery = {
    retain: false,
    payload,
    payloadBytes: payload.length,
    propertyBytes: 0,
    isWhole: true,
    properties: { ...(contentType === undefined ? {} : { contentType }), userProperties },
  }
  const model = { name: 'iris', requestBytesMax: 1_000 } as ExposedModel
  const hasBody = name === 'predict' || name === 'infer'
  return judgePayload(delivery, model, { name, protocol: dialect, hasBody } as BoundOperation)
}

const BINARY: JudgedBody = { contentType: 'application/octet-stream', inferenceHeaderContentLength: '13' }
const JSON_ONLY: JudgedBody = { contentType: 'application/json', inferenceHeaderContentLength: undefined }

test('a V2 body with a binary tail and its length, but without a Content Type, goes out as binary', () => {
  expect(judge('v2', WITH_TAIL, undefined, [LENGTH, '13'])).toEqual(BINARY)
  expect(judge('v2', WITH_TAIL, 'application/octet-stream', [LENGTH, '13'])).toEqual(BINARY)
  // Nothing but bytes: a raw tensor, as Triton takes it.
  expect(judge('v2', Buffer.from([0, 1]), undefined, [LENGTH, '0'])).toMatchObject({
    inferenceHeaderContentLength: '0',
  })
})

test.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON'])(
  'the length of a JSON part with Content Type %s is refused, and not dropped in silence',
  (contentType) => {
    const judged = (dialect: Dialect) => judge(dialect, WITH_TAIL, contentType, ['a', 'b', LENGTH, '13'])
    expect(() => judged('v2')).toThrow(
      `"${LENGTH}" is for binary tensors; publish them with Content Type application/octet-stream`,
    )
    expect(() => judged('v1')).toThrow(`"${LENGTH}" is for binary tensors; operation "predict" takes none`)
  },
)

test('an operation of V1 takes no binary tensors, whatever the Content Type', () => {
  expect(() => judge('v1', WITH_TAIL, undefined, [LENGTH, '13'])).toThrow(`"${LENGTH}" is for binary`)
  expect(() => judge('v1', WITH_TAIL, 'application/octet-stream', [LENGTH, '13'])).toThrow(
    'takes application/json.',
  )
})

test.each(['17', '-1', '', 'abc', '1e1', '9999999999'])('a length of "%s" is refused', (length) => {
  for (const contentType of [undefined, 'application/octet-stream']) {
    expect(() => judge('v2', WITH_TAIL, contentType, [LENGTH, length])).toThrow(
      'must say how many bytes of the body are JSON (0 to 16)',
    )
  }
})

test('bodies without the property are JSON, and questions without a body are not judged by it', () => {
  expect(judge('v2', Buffer.from(JSON_PART), undefined, ['a', 'b'])).toEqual(JSON_ONLY)
  expect(judge('v2', Buffer.alloc(0), undefined, [LENGTH, '13'], 'metadata')).toEqual(JSON_ONLY)
})
