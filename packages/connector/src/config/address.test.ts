// What follows from the URL of a model server. Mistakes in addresses: load.test.ts.
import { expect, test } from 'vitest'
import { originOf, withTls } from './address.ts'

test.each([
  ['http://iris.models.svc:80/prefix', 'http://iris.models.svc'],
  ['https://Gateway.example:8443', 'https://gateway.example:8443'],
  ['grpc://iris.models.svc:8001', 'grpc://iris.models.svc:8001'],
])('the origin of %s is not "null", whatever its scheme', (url, origin) => {
  expect(originOf(url)).toBe(origin)
})

test.each([
  ['http://iris/p', 'https://iris/p'],
  ['HTTP://iris', 'https://iris'],
  ['https://iris', undefined],
  ['HTTPS://iris', undefined],
])('with TLS, %s is %s', (url, secure) => {
  expect(withTls(url)).toBe(secure)
})
