import { TopicSpace } from '@inferwire/protocol'
import { expect, test } from 'vitest'
import { resolveSettings } from './options.ts'
import { replyFilterOf, toRequestSpec } from './request-spec.ts'

const on5 = resolveSettings('mqtt://broker', { username: 'cam7' })
const on4 = resolveSettings('mqtt://broker', { username: 'cam7', mqttVersion: '3.1.1' })
const matches = (filter: string, topic: string): boolean =>
  new RegExp(`^${filter.replaceAll('+', '[^/]+').replace('#', '.*')}$`).test(topic)

test('on MQTT 5 the topic contains an id, and the reply topic is derived from the topic', () => {
  const spec = toRequestSpec(on5, 'abc', 'iris', { inputs: [] }, {})
  expect(spec.topic).toMatch(/^infer\/request\/cam7\/iris\/infer\/abc\/[0-9a-f]{32}$/)
  expect(spec.replyTopic).toBe(new TopicSpace('infer').replyTopicOf(spec.topic))
  expect(spec.cancelTopic).toBe(spec.topic.replace('/request/', '/cancel/'))
  expect(spec.properties).toMatchObject({ payloadFormatIndicator: 1 })
  expect(spec.properties).not.toHaveProperty('responseTopic')
  expect(spec.properties.correlationData).toHaveLength(16)
  expect(matches(replyFilterOf(on5, 'abc'), spec.replyTopic)).toBe(true)
  expect(matches(replyFilterOf(on5, 'abd'), spec.replyTopic)).toBe(false)
})

test('on MQTT 5 without an operation, the Response Topic contains the id', () => {
  const spec = toRequestSpec(on5, 'abc', 'iris', 'x', {})
  expect(spec.topic).toBe('infer/request/cam7/iris')
  expect(spec.replyTopic).toBe(`infer/reply/cam7/iris/default/abc/${spec.id}`)
  expect(spec.properties.responseTopic).toBe(spec.replyTopic)
  expect(new TopicSpace('infer').isOwnReplyTopic('cam7', spec.replyTopic)).toBe(true)
  expect(matches(replyFilterOf(on5, 'abc'), spec.replyTopic)).toBe(true)
})

test('on MQTT 3.1.1 the topic contains operation and id, and the reply topic is derived from the topic', () => {
  const spec = toRequestSpec(on4, 'abc', 'iris', '{"instances":[]}', {})
  expect(spec.topic).toMatch(/^infer\/request\/cam7\/iris\/predict\/abc\/[0-9a-f]{32}$/)
  expect(spec.replyTopic).toBe(new TopicSpace('infer').replyTopicOf(spec.topic))
  expect(spec.replyTopic.endsWith(spec.id)).toBe(true)
  expect(matches(replyFilterOf(on4, 'abc'), spec.replyTopic)).toBe(true)
  expect(matches(replyFilterOf(on4, 'abd'), spec.replyTopic)).toBe(false)
})

test('on MQTT 3.1.1 rejects options that need MQTT 5', () => {
  expect(() => toRequestSpec(on4, 'abc', 'iris', 'x', {})).toThrow(/must contain the operation/)
  expect(() => toRequestSpec(on4, 'abc', 'iris', {}, { headers: { a: 'b' } })).toThrow(/require MQTT 5/)
  expect(() => toRequestSpec(on4, 'abc', 'iris', {}, { contentType: 'image/png' })).toThrow(/require MQTT 5/)
})

test('sends headers as user properties, and the content type if it is not JSON', () => {
  const body = new Uint8Array([1])
  const { properties } = toRequestSpec(on5, 'abc', 'iris', body, {
    headers: { 'inference-header-content-length': '1', ['__proto__']: 'x' },
    contentType: 'application/octet-stream',
  })
  expect(properties.contentType).toBe('application/octet-stream')
  expect(properties.payloadFormatIndicator).toBeUndefined()
  expect(properties.userProperties).toEqual(['inference-header-content-length', '1', '__proto__', 'x'])
})

test.each(['', 'a/b', '+', '#', '..', 'a\0', 'ünicode'])('rejects the model name %j', (model) => {
  expect(() => toRequestSpec(on5, 'abc', model, {}, {})).toThrow(
    expect.objectContaining({ code: 'bad_topic' }),
  )
})

test.each([
  [{ timeoutMs: -1 }, /timeoutMs is -1/],
  [{ timeoutMs: Infinity }, /timeoutMs is Infinity/],
  [{ timeoutMs: '5' as unknown as number }, /timeoutMs is "5"; expected a number/],
  [{ repeatAfterMs: 0 }, /repeatAfterMs is 0/],
  [{ headers: { a: 5 as unknown as string } }, /must be text/],
  [{ headers: { a: 'x\0' } }, /must be text/],
  [{ contentType: '\ud800' }, /must be text/],
  [{ headers: { a: 'x'.repeat(30_000) } }, /must be text/],
])('rejects the options %j', (options, message) => {
  expect(() => toRequestSpec(on5, 'abc', 'iris', {}, options)).toThrow(message)
})

test('rejects an operation that is not a single topic level', () => {
  expect(() => toRequestSpec(on5, 'abc', 'iris', {}, { operation: 'a/b' })).toThrow(
    /cannot be part of a topic/,
  )
})

test('priority and coalesceMs precede the headers, so that no header overrides them', () => {
  const options = { priority: 7, coalesceMs: 0.5, headers: { priority: '9', 'x-line': '7' } }
  const { properties } = toRequestSpec(on5, 'abc', 'iris', { inputs: [] }, options)
  expect(properties.userProperties).toEqual([
    'priority',
    '7',
    'coalesce-ms',
    '1',
    'priority',
    '9',
    'x-line',
    '7',
  ])
})

test.each([
  [on5, { coalesceMs: -1 }, /coalesceMs is -1; expected milliseconds from 0/],
  [on5, { coalesceMs: 10_001 }, /coalesceMs is 10001; expected milliseconds from 0 to 10000/],
  [on5, { coalesceMs: Number.NaN }, /coalesceMs is NaN/],
  [on5, { priority: 'high' }, /priority is "high"; expected a whole number from 0 to 9/],
  [on5, { priority: 12 }, /priority is 12; expected a whole number from 0 to 9/],
  [on5, { contentType: 'a\0b' }, /headers and contentType must be text without NUL/],
  [on5, { idleTimeoutMs: 0 }, /idleTimeoutMs is 0/],
  [on4, { priority: 'high', operation: 'infer' }, /priority and coalesceMs require MQTT 5/],
  [on4, { coalesceMs: 5, operation: 'infer' }, /priority and coalesceMs require MQTT 5/],
])('rejects invalid properties of a request', (settings, options, message) => {
  expect(() => toRequestSpec(settings, 'abc', 'iris', {}, options)).toThrow(message)
})
