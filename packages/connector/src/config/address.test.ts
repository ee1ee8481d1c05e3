// The URL of a model server: its origin, its form with TLS, and paths that repeat the connector's. Other mistakes in
// addresses: load.test.ts.
import { expect, test } from 'vitest'
import { modelUrlMistake, originOf, withTls } from './address.ts'

test.each([
  ['http://iris.models.svc:80/prefix', 'http://iris.models.svc'],
  ['https://Gateway.example:8443', 'https://gateway.example:8443'],
  ['grpc://iris.models.svc:8001', 'grpc://iris.models.svc:8001'],
])('returns the origin of %s, also for a scheme whose URL.origin is "null"', (url, origin) => {
  expect(originOf(url)).toBe(origin)
})

test.each([
  ['http://iris/p', 'https://iris/p'],
  ['HTTP://iris', 'https://iris'],
  ['https://iris', undefined],
  ['HTTPS://iris', undefined],
])('returns the URL %s with TLS as %s', (url, secure) => {
  expect(withTls(url)).toBe(secure)
})

test.each([
  'http://h:8080/v1',
  'http://h/v2/',
  'https://h/v1//',
  'http://h/p/v1/models',
  'http://h/v2/models/iris',
])('rejects the URL %s, whose path repeats what the connector adds', (url) => {
  expect(modelUrlMistake(url)).toBe(
    'the URL up to /v1/models or /v2/models: the connector adds the rest of the path',
  )
})

test.each([
  'http://h:8080',
  'http://h/serving',
  'http://h/fraud/v2',
  'http://h/v10',
  'http://v1',
  'http://h/v1x/',
])('accepts the URL %s with or without a path prefix', (url) => {
  expect(modelUrlMistake(url)).toBeUndefined()
})
