import { expect, test } from 'vitest'
import { resolveSettings, streamBounds } from './options.ts'

test('applies the documented defaults', () => {
  const { target, identity, topics, inFlightMax } = resolveSettings('mqtt://127.0.0.1', {})
  expect(target).toMatchObject({
    protocolVersion: 5,
    username: undefined,
    connectTimeoutMs: 10_000,
    rejectUnauthorized: true,
  })
  expect(target.clientId).toMatch(/^inferwire-[0-9a-f]{12}$/)
  expect(identity).toBe(target.clientId)
  expect(topics.root).toBe('infer')
  expect(inFlightMax).toBe(1_024)
})

test('the identity defaults to the user name', () => {
  expect(resolveSettings('mqtt://cam7:p%40ss@broker:1884', {})).toMatchObject({
    identity: 'cam7',
    target: { username: 'cam7', password: 'p@ss' },
  })
  expect(resolveSettings('mqtt://broker', { username: 'u', identity: 'cam8', clientId: 'c' }).identity).toBe(
    'cam8',
  )
  expect(resolveSettings('mqtt://broker', { clientId: 'c' }).identity).toBe('c')
})

test.each([
  [{}, 0, true],
  [{ sessionExpirySeconds: 60 }, 60, false],
  // An earlier process may have left a session with subscriptions under this identifier.
  [{ sessionExpirySeconds: 60, clientId: 'cam7' }, 60, true],
])('the options %j give the session an expiry of %i s; Clean Start is %j', (options, expiry, isClean) => {
  const { target } = resolveSettings('mqtt://broker', options)
  expect(target).toMatchObject({ sessionExpirySeconds: expiry, isCleanStart: isClean })
})

test('rejects stream limits that are not positive integers', () => {
  expect(streamBounds({})).toEqual({ partsMax: 4_096, bufferBytesMax: 16_777_216 })
  expect(() => streamBounds({ partsMax: 0 })).toThrow(/partsMax is 0/)
  expect(() => streamBounds({ bufferBytesMax: 1.5 })).toThrow(/bufferBytesMax is 1.5/)
})

test('skips the check of the server certificate only when rejectUnauthorized is false', () => {
  const { target } = resolveSettings('mqtts://broker', { rejectUnauthorized: false })
  expect(target.rejectUnauthorized).toBe(false)
})

test('removes the password from the broker address', () => {
  expect(resolveSettings('mqtt://cam7:secret@broker', {}).target.url.href).not.toContain('secret')
})

const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----'

test.each([
  ['http://broker', {}, /broker URL is not valid/],
  ['mqtt:secret', {}, /broker URL is not valid/],
  ['mqtt://broker', { identity: 'a/b' }, /identity "a\/b"/],
  ['mqtt://broker', { username: '#' }, /identity "#"/],
  ['mqtt://broker', { root: 'a/#' }, /Root "a\/#"/],
  ['mqtt://broker', { mqttVersion: 4 as 5 }, /mqttVersion is 4; expected 5 or "3.1.1"/],
  ['mqtt://broker', { protocolVersion: 4 } as object, /protocolVersion is not an option; use mqttVersion/],
  ['mqtt://broker', { connectTimeoutMs: 0 }, /connectTimeoutMs is 0/],
  ['mqtt://broker', { connectTimeoutMs: Number.NaN }, /connectTimeoutMs is NaN/],
  ['mqtt://broker', { inFlightMax: 1.5 }, /inFlightMax is 1.5/],
  ['mqtt://broker', { keepAliveSeconds: 70_000 }, /keepAliveSeconds/],
  ['mqtt://broker', { sessionExpirySeconds: -1 }, /sessionExpirySeconds is -1/],
  [
    'mqtt://broker',
    { sessionExpirySeconds: 1, mqttVersion: '3.1.1' } as object,
    /sessionExpirySeconds requires MQTT 5/,
  ],
  ['mqtt://broker', { ca: 'x' }, /need TLS/],
  ['mqtts://broker', { cert: 'x' }, /must be set together/],
  ['mqtts://broker', { ca: CERTIFICATE.slice(0, -9) }, /ca has no certificate in PEM/],
  ['mqtts://broker', { ca: 'x' }, /ca has no certificate in PEM/],
  ['mqtts://broker', { ca: new Uint8Array([0x30, 0x82]) }, /ca has no certificate in PEM/],
  ['mqtts://broker', { cert: CERTIFICATE, key: CERTIFICATE }, /key has no private key in PEM/],
  ['mqtt://broker', { username: 'u', password: 'ü'.repeat(32_768) }, /^password is longer than 65535 bytes/],
  ['mqtt://broker', { username: 'a\0b', identity: 'a' }, /username contains a NUL/],
  ['mqtt://u:100%@h', {}, /^The password in the broker URL is not valid percent-encoding: write % as %25/],
  ['mqtt://%zz:p@h', {}, /user name .* %25/],
  ['mqtt://u:12/x@h', {}, /query or fragment after host and port/],
  ['wss://h/mqtt#x', {}, /query or fragment after host and port/],
])('rejects the URL %s with the options %j', (url, options, message) => {
  expect(() => resolveSettings(url, options)).toThrow(message)
})
