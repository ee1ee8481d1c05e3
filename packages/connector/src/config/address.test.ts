// Tests the URLs of model servers: their origin, their TLS form, and paths with segments that the connector adds
// itself. load.test.ts tests other mistakes in addresses.
import { expect, test } from 'vitest'
import { modelUrlMistake, originOf, withTls } from './address.ts'

test.each([
  ['http://iris.models.svc:80/prefix', 'http://iris.models.svc'],
  ['https://Gateway.example:8443', 'https://gateway.example:8443'],
  ['grpc://iris.models.svc:8001', 'grpc://iris.models.svc:8001'],
])('returns the origin of %s', (url, origin) => {
  expect(originOf(url)).toBe(origin)
})

test.each([
  ['http://iris/p', 'https://iris/p'],
  ['HTTP://iris', 'https://iris'],
  ['https://iris', undefined],
  ['HTTPS://iris', undefined],
])('for the URL %s, withTls returns %s', (url, secure) => {
  expect(withTls(url)).toBe(secure)
})

test.each([
  'http://h:8080/v1',
  'http://h/v2/',
  'https://h/v1//',
  'http://h/p/v1/models',
  'http://h/v2/models/iris',
])('rejects the URL %s, whose path contains segments that the connector adds', (url) => {
  expect(modelUrlMistake(url)).toBe(
    'the part of the URL before /v1/models or /v2/models: the connector adds the rest',
  )
})

test.each([
  'http://h:8080',
  'http://h/serving',
  'http://h/fraud/v2',
  'http://h/v10',
  'http://v1',
  'http://h/v1x/',
])('accepts the URL %s', (url) => {
  expect(modelUrlMistake(url)).toBeUndefined()
})
