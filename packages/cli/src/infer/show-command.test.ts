import { describe, expect, test } from 'vitest'
import { TopicSpace } from '@inferwire/protocol'
import type { BrokerTarget } from '../broker-flags.ts'
import { curlLine, mosquittoLine, type ShownRequest } from './show-command.ts'

const target: BrokerTarget = {
  url: new URL('mqtt://127.0.0.1:1883'),
  urlVariable: undefined,
  username: undefined,
  password: undefined,
  passwordFile: undefined,
  caFile: undefined,
  identity: 'cam7',
  topics: new TopicSpace('infer'),
  mqttVersion: 5,
  timeoutMs: 10_000,
}
const request: ShownRequest = {
  target,
  model: 'iris',
  operation: 'predict',
  body: { bytes: Buffer.from(`{"instances":[["it's"]]}`), file: undefined },
  contentType: undefined,
}

describe('mosquitto_rr', () => {
  test('sets the request topic and the response topic', () => {
    expect(mosquittoLine(request)).toBe(
      'mosquitto_rr -h 127.0.0.1 -p 1883 -V 5 -q 1 -W 10 ' +
        '-t infer/request/cam7/iris/predict -e infer/reply/cam7/iris/predict ' +
        `-m '{"instances":[["it'\\''s"]]}'`,
    )
  })

  test('never contains the password: the shell reads it from an environment variable or a file', () => {
    const login = { ...target, username: 'ann', password: 'secret' }
    expect(mosquittoLine({ ...request, target: login })).toContain('-u ann -P "$INFERWIRE_BROKER_PASSWORD"')
    const line = mosquittoLine({ ...request, target: { ...login, passwordFile: './my password' } })
    expect(line).toContain(`-P "$(cat < './my password')"`)
    expect(line).not.toContain('secret')
  })

  test('reads the body from the named file, and sends an empty message if there is no body', () => {
    expect(mosquittoLine({ ...request, body: { bytes: Buffer.from('{}'), file: 'a b.json' } })).toMatch(
      / -m "\$\(cat < 'a b.json'\)"$/,
    )
    expect(mosquittoLine({ ...request, operation: 'ready', body: undefined })).toMatch(/ -n$/)
  })

  test('sets the content type', () => {
    expect(mosquittoLine({ ...request, contentType: 'image/jpeg' })).toContain(
      '-D publish content-type image/jpeg',
    )
  })

  test('keeps the priority, the expiry and the user properties', () => {
    const line = mosquittoLine({ ...request, priority: '7', expirySeconds: 5, headers: { 'x-line': '3' } })
    expect(line).toContain(
      '-D publish message-expiry-interval 5 -D publish user-property priority 7 -D publish user-property x-line 3 ',
    )
  })

  test('uses the certificate authorities of the system, or the given CA file', () => {
    const tls = { ...target, url: new URL('mqtts://broker.example') }
    expect(mosquittoLine({ ...request, target: tls })).toContain('-p 8883 --tls-use-os-certs')
    expect(mosquittoLine({ ...request, target: { ...tls, caFile: 'ca.pem' } })).toContain('--cafile ca.pem')
  })

  test('rejects a WebSocket broker', () => {
    const webSocket = { ...target, url: new URL('ws://127.0.0.1:9001') }
    expect(() => mosquittoLine({ ...request, target: webSocket })).toThrow(/WebSocket/)
  })
})

describe('curl', () => {
  test.each([
    ['predict', 'v1', '/v1/models/iris:predict'],
    ['infer', 'v2', '/v2/models/iris/infer'],
    ['metadata', 'v1', '/v1/models/iris'],
    ['metadata', 'v2', '/v2/models/iris'],
    ['ready', 'v2', '/v2/models/iris/ready'],
  ] as const)('for the operation %s of the protocol %s, calls the path %s', (operation, protocol, path) => {
    expect(curlLine(request, operation, protocol, 'http://127.0.0.1:8080/')).toContain(
      ` http://127.0.0.1:8080${path}`,
    )
  })

  test('sends the body unchanged, or refers to the file with the body', () => {
    expect(curlLine(request, 'predict', 'v1', 'http://m')).toMatch(
      /-H 'content-type: application\/json' --data-raw '{/,
    )
    const fromFile = { ...request, body: { bytes: Buffer.from('{}'), file: 'r.json' } }
    expect(curlLine(fromFile, 'predict', 'v1', 'http://m')).toMatch(/--data-binary @r.json$/)
    expect(curlLine(request, 'metadata', 'v2', 'http://m')).not.toContain('--data')
  })

  test('rejects a body that is not text, or that is too large for a command line', () => {
    const binary = { ...request, body: { bytes: Buffer.from([0xff, 0xfe]), file: undefined } }
    expect(() => curlLine(binary, 'infer', 'v2', 'http://m')).toThrow(/not text/)
    expect(() => mosquittoLine({ ...binary, body: { ...binary.body, file: 'image.jpg' } })).toThrow(
      /not text/,
    )
    const large = { ...request, body: { bytes: Buffer.alloc(130_000, ' '), file: undefined } }
    expect(() => mosquittoLine(large)).toThrow(/larger than/)
  })
})
