import { expect, test } from 'vitest'
import { OPERATIONS, type OperationName } from '../operation.ts'
import {
  defaultOperationOf,
  dialectNames,
  dialectOf,
  DIALECTS,
  fitsRoutes,
  isServerModelName,
  offeredOperations,
  operationMeaning,
  operationOfBody,
  operationRoute,
  operationsOf,
  optionalOperations,
  versionedDialects,
} from './index.ts'

test('every dialect has its default operation, and the metadata operation by which it is detected', () => {
  for (const dialect of dialectNames()) {
    expect(operationRoute(DIALECTS[dialect].defaultOperation, dialect, 'm')).toBeDefined()
    expect(operationRoute('metadata', dialect, 'm')?.method).toBe('GET')
  }
})

test('every operation is in a dialect, and is sent with POST if and only if it has a body', () => {
  for (const name of Object.keys(OPERATIONS) as OperationName[]) {
    const dialect = dialectOf(name, dialectNames())!
    expect(operationRoute(name, dialect, 'm')?.method).toBe(OPERATIONS[name].hasBody ? 'POST' : 'GET')
  }
})

test('every name is encoded as a single path segment, whatever characters it contains', () => {
  expect(operationRoute('predict', 'v1', 'a/../b')?.path).toBe('/v1/models/a%2F..%2Fb:predict')
  expect(operationRoute('infer', 'v2', "$&{version}['", '3/x')?.path).toBe(
    "/v2/models/$&%7Bversion%7D%5B'/versions/3%2Fx/infer",
  )
})

test.each([
  ['na@me', 'na@me'],
  ['na+me', 'na+me'],
  ["-._~!$&'()*+,;=:@", "-._~!$&'()*+,;=:@"],
  ['50%40', '50%2540'],
  ['a b', 'a%20b'],
  ['a?b#c', 'a%3Fb%23c'],
  ['ü', '%C3%BC'],
])(
  'the name %j is sent as %s: characters that RFC 3986 allows in a segment are not encoded',
  (name, segment) => {
    expect(operationRoute('infer', 'v2', name, name)?.path).toBe(
      `/v2/models/${segment}/versions/${segment}/infer`,
    )
    expect(decodeURIComponent(segment)).toBe(name)
  },
)

test.each([
  ['iris', true],
  ['na+me', true],
  ['na@me', true],
  ['...a', true],
  ['.', false],
  ['..', false],
  ['', false],
  ['facebook/opt-125m', true],
  ['a/../b', false],
  ['/a', false],
  ['a/', false],
  ['a b', false],
  ['a%2Fb', false],
  ['a?b', false],
  ['ü', false],
  ['a'.repeat(256), false],
])('decides whether %j is a valid model name on a server: %j', (name, isName) => {
  expect(isServerModelName(name)).toBe(isName)
})

test('only a dialect without the model in its paths accepts a name with a slash', () => {
  expect(dialectNames().filter((dialect) => fitsRoutes('facebook/opt-125m', dialect))).toEqual(['openai'])
  expect(dialectNames().filter((dialect) => fitsRoutes('opt-125m', dialect))).toEqual(dialectNames())
})

test('a path contains the model version if the dialect supports versions', () => {
  expect(versionedDialects()).toEqual(['v2'])
  expect(operationRoute('ready', 'v2', 'iris', '3')?.path).toBe('/v2/models/iris/versions/3/ready')
  expect(operationRoute('ready', 'v2', 'iris')?.path).toBe('/v2/models/iris/ready')
  expect(operationRoute('ready', 'v1', 'iris', '3')?.path).toBe('/v1/models/iris')
})

test('a model has the operations of all its dialects; each operation uses the preferred dialect that has it', () => {
  expect(operationsOf(['v1'])).toEqual(['predict', 'explain', 'metadata', 'ready'])
  expect(operationsOf(['v1', 'v2'], [])).toEqual(['predict', 'explain', 'infer', 'metadata', 'ready'])
  expect(defaultOperationOf(['v1', 'v2'])).toBe('infer')
  expect(defaultOperationOf(['v1'])).toBe('predict')
  expect(dialectOf('metadata', ['v1', 'v2'])).toBe('v2')
  expect(dialectOf('infer', ['v1'])).toBeUndefined()
  expect(operationRoute('infer', 'v1', 'iris')).toBeUndefined()
})

test('a model has an optional operation if the server offers it, or if the server’s operations are unknown', () => {
  expect(optionalOperations('v2')).toEqual(['infer_stream', 'generate'])
  expect(operationsOf(['v2'])).toEqual(['infer', 'infer_stream', 'generate', 'metadata', 'ready'])
  expect(operationsOf(['v2'], ['generate'])).toEqual(['infer', 'generate', 'metadata', 'ready'])
  expect(operationsOf(['openai'], ['embeddings'])).toEqual(['embeddings', 'metadata', 'ready'])
})

test('a server does not offer an operation if it uses the path of the operation for another purpose', () => {
  expect(offeredOperations('v2', ['generate'])).toEqual(['generate'])
  expect(offeredOperations('v2', ['infer_stream', 'generate'])).toEqual(['infer_stream'])
})

test('a language model has the default operation of its own dialect, although its server also has V1 and V2', () => {
  expect(defaultOperationOf(['v2', 'v1', 'openai'])).toBe('chat')
  expect(dialectOf('ready', ['v2', 'v1', 'openai'])).toBe('v2')
})

test('on Triton, a streamed answer has its own path, which includes the version', () => {
  expect(operationRoute('generate', 'v2', 'llm', '1')).toEqual({
    method: 'POST',
    path: '/v2/models/llm/versions/1/generate',
    stream: { when: 'requested', path: '/v2/models/llm/versions/1/generate_stream' },
  })
  expect(operationRoute('chat', 'openai', 'llm')).toEqual({
    method: 'POST',
    path: '/v1/chat/completions',
    stream: { when: 'requested', path: '/v1/chat/completions' },
  })
  expect(operationRoute('infer', 'v2', 'llm')?.stream).toBeUndefined()
})

test.each([
  [{ instances: [] }, 'predict'],
  [{ inputs: [] }, 'infer'],
  [{ instances: [], inputs: [] }, 'infer'],
  [{ messages: [] }, 'chat'],
  [{ prompt: 'x' }, undefined],
  [Object.create({ inputs: [] }) as object, undefined],
  ['inputs', undefined],
  [null, undefined],
])('finds the operation for the body %j: %s', (body, operation) => {
  expect(operationOfBody(body)).toBe(operation)
})

test('the description of an operation lists its HTTP requests, without the brackets of the path template', () => {
  expect(operationMeaning('ready')).toBe(
    'Model readiness: GET /v2/models/{model}/ready, or GET /v1/models/{model}, or GET /v1/models',
  )
})
