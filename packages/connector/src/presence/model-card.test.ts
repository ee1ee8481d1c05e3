import { TopicSpace, type TensorMetadata } from '@inferwire/protocol'
import { expect, test } from 'vitest'
import { modelCard, type CardFacts } from './model-card.ts'

const topics = new TopicSpace('plant/request')
const tensor = (shape: number[], datatype = 'FP32'): TensorMetadata => ({ name: 'x', datatype, shape })
const facts = (overrides: Partial<CardFacts> = {}): CardFacts => ({
  name: 'iris',
  state: 'ready',
  protocolVersions: ['v2'],
  operations: ['infer', 'metadata', 'ready'],
  defaultOperation: 'infer',
  requestBytesMax: 1,
  responseBytesMax: 2,
  timeoutMs: 3,
  ...overrides,
})

test('a card contains the request topic and the reply topic, for any root', () => {
  expect(modelCard(topics, facts())).toEqual({
    contract: 1,
    name: 'iris',
    state: 'ready',
    protocol_versions: ['v2'],
    operations: ['infer', 'metadata', 'ready'],
    default_operation: 'infer',
    request_topic: 'plant/request/request/{client}/iris/infer',
    reply_topic: 'plant/request/reply/{client}/iris/infer',
    limits: { request_bytes_max: 1, response_bytes_max: 2, timeout_ms: 3 },
  })
})

test('the generated example contains zeros of the right shape and type; variable dimensions become 1', () => {
  const { example } = modelCard(
    topics,
    facts({ inputs: [tensor([-1, 4]), tensor([2], 'BYTES'), tensor([1], 'BOOL')] }),
  )
  expect(example).toEqual({
    operation: 'infer',
    body: {
      id: '1',
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [1, 4], data: [0, 0, 0, 0] },
        { name: 'x', datatype: 'BYTES', shape: [2], data: ['', ''] },
        { name: 'x', datatype: 'BOOL', shape: [1], data: [false] },
      ],
    },
  })
})

test('a large shape does not result in a large card', () => {
  expect(modelCard(topics, facts({ inputs: [tensor([1, 3, 224, 224])] })).example).toBeUndefined()
  expect(modelCard(topics, facts({ inputs: [tensor([2 ** 31, 2 ** 31, 2 ** 31])] })).example).toBeUndefined()
  expect(modelCard(topics, facts({ inputs: [tensor([Number.MIN_SAFE_INTEGER, 0])] })).example).toBeDefined()
})

test.each(['FP16', 'BF16', 'fp32', 'STRING'])(
  'generates no example for an input of the unsupported type %s',
  (datatype) => {
    const inputs = [tensor([4]), tensor([1], datatype)]
    const card = modelCard(topics, facts({ inputs }))
    expect(card).not.toHaveProperty('example')
    expect(card.inputs).toEqual(inputs)
  },
)

test.each(['INT8', 'UINT64', 'FP64'])('generates an example with zeros for the type %s', (datatype) => {
  expect(modelCard(topics, facts({ inputs: [tensor([1], datatype)] })).example?.body).toMatchObject({
    inputs: [{ datatype, data: [0] }],
  })
})

test("omits the configured example if the model does not offer the example's operation", () => {
  const body = { instances: [[1]] }
  expect(modelCard(topics, facts({ example: { operation: 'predict', body } }))).not.toHaveProperty('example')
  // If no operation is configured for the example, its body determines the operation.
  expect(modelCard(topics, facts({ example: { body } }))).not.toHaveProperty('example')
  const operations = ['predict', 'infer'] as const
  expect(modelCard(topics, facts({ operations, example: { body } })).example?.operation).toBe('predict')
})

test('prefers the configured example to a generated example', () => {
  const example = { operation: 'predict', body: { instances: [[1]] } }
  const operations = ['predict', 'infer'] as const
  expect(modelCard(topics, facts({ operations, example, inputs: [tensor([4])] })).example).toEqual(example)
  const { operation } = modelCard(topics, facts({ example: { body: {} } })).example!
  expect(operation).toBe('infer')
})
