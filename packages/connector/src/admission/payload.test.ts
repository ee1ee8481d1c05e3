// Tests the payload checks that depend on the message's MQTT properties.
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
  contentTypes?: ReadonlySet<string>,
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
  return judgePayload(delivery, model, { name, protocol: dialect, hasBody, contentTypes } as BoundOperation)
}

const BINARY: JudgedBody = { contentType: 'application/octet-stream', inferenceHeaderContentLength: '13' }
const JSON_ONLY: JudgedBody = { contentType: 'application/json', inferenceHeaderContentLength: undefined }

test('treats a V2 body with a header length and no Content Type as binary tensors', () => {
  expect(judge('v2', WITH_TAIL, undefined, [LENGTH, '13'])).toEqual(BINARY)
  expect(judge('v2', WITH_TAIL, 'application/octet-stream', [LENGTH, '13'])).toEqual(BINARY)
  // The body contains only raw bytes: one raw tensor, which Triton accepts.
  expect(judge('v2', Buffer.from([0, 1]), undefined, [LENGTH, '0'])).toMatchObject({
    inferenceHeaderContentLength: '0',
  })
})

test.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON'])(
  'rejects the header length property with Content Type %s, instead of ignoring it',
  (contentType) => {
    const judged = (dialect: Dialect) => judge(dialect, WITH_TAIL, contentType, ['a', 'b', LENGTH, '13'])
    expect(() => judged('v2')).toThrow(
      `"${LENGTH}" is for binary tensors; publish them with Content Type application/octet-stream`,
    )
    expect(() => judged('v1')).toThrow(
      `"${LENGTH}" is for binary tensors; operation "predict" does not accept them`,
    )
  },
)

test('rejects binary tensors for a V1 operation, whatever the Content Type', () => {
  expect(() => judge('v1', WITH_TAIL, undefined, [LENGTH, '13'])).toThrow(`"${LENGTH}" is for binary`)
  expect(() => judge('v1', WITH_TAIL, 'application/octet-stream', [LENGTH, '13'])).toThrow(
    'accepts application/json.',
  )
})

test.each(['17', '-1', '', 'abc', '1e1', '9999999999'])('rejects a header length of "%s"', (length) => {
  for (const contentType of [undefined, 'application/octet-stream']) {
    expect(() => judge('v2', WITH_TAIL, contentType, [LENGTH, length])).toThrow(
      'must specify how many bytes of the body are JSON (0 to 16)',
    )
  }
})

test('treats a body without a header length as JSON, and ignores a header length on requests without a body', () => {
  expect(judge('v2', Buffer.from(JSON_PART), undefined, ['a', 'b'])).toEqual(JSON_ONLY)
  expect(judge('v2', Buffer.alloc(0), undefined, [LENGTH, '13'], 'metadata')).toEqual(JSON_ONLY)
})

test('passes a listed Content Type through unchanged, and rejects any other with a list of accepted types', () => {
  const listed = new Set(['image/jpeg', 'application/octet-stream'])
  const withType = (contentType: string) => judge('v1', WITH_TAIL, contentType, [], 'predict', listed)
  for (const contentType of listed) {
    expect(withType(contentType)).toEqual({ contentType, inferenceHeaderContentLength: undefined })
  }
  for (const contentType of ['image/png', 'image/jpeg; q=1', 'IMAGE/JPEG', '']) {
    expect(() => withType(contentType)).toThrow(
      'Operation "predict" accepts application/json or image/jpeg or application/octet-stream.',
    )
  }
  expect(() => judge('v1', Buffer.alloc(0), 'image/jpeg', [], 'predict', listed)).toThrow('The body is empty')
})
