// Tests the errors for a port that does not match the URL. Each test uses a real server with a different fault.
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import { afterAll, afterEach, expect, test } from 'vitest'
import { LOCALHOST, OTHER_NAME } from '../config/testing/certificates.ts'
import { MqttSession } from './session.ts'
import { BASE_OPTIONS } from './testing/scripted-broker.ts'

const folder = mkdtempSync(join(tmpdir(), 'inferwire-port-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

// Returns the error of the failed connection.
async function reasonOf(scheme: string, server: Server, trusted?: string): Promise<string> {
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const caFile = join(folder, 'ca.pem')
  if (trusted !== undefined) writeFileSync(caFile, trusted)
  const isTls = scheme === 'mqtts' || scheme === 'wss'
  return await new Promise((resolve) => {
    const session = new MqttSession(
      {
        ...BASE_OPTIONS,
        url: `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`,
        tls: {
          ...(isTls ? { serverName: 'localhost' } : {}),
          ...(trusted === undefined ? {} : { caFile }),
          insecureSkipVerify: false,
        },
        reconnect: { minMs: 60_000, maxMs: 60_000 },
        filters: ['a'],
        random: () => 1,
      },
      {
        delivered: () => {},
        ready: () => resolve('ready'),
        unavailable: ({ error }) => resolve(error.message),
      },
    )
    closing.push(() => session.close())
    closing.push(() => void server.close())
    session.start()
  })
}

const mute = (): Server => createTcpServer((socket) => socket.on('error', () => {}))

test('suggests broker.tls.caFile for a self-signed certificate', async () => {
  const reason = await reasonOf('mqtts', createTlsServer(LOCALHOST))
  expect(reason).toMatch(/^The broker has a TLS certificate that .*\(self-signed certificate\)\./)
  expect(reason).toContain('Set broker.tls.caFile to a file with the certificate of the issuing authority')
})

test('suggests broker.tls.caFile for a self-signed certificate over wss', async () => {
  expect(await reasonOf('wss', createTlsServer(LOCALHOST))).toContain('Set broker.tls.caFile')
})

test('names both host names and broker.tls.serverName if the certificate is for another host', async () => {
  const reason = await reasonOf('mqtts', createTlsServer(OTHER_NAME), OTHER_NAME.cert)
  expect(reason).toMatch(/another host name \(.*localhost.*DNS:other\.example\).*broker\.tls\.serverName/)
})

test.each(['mqtts', 'wss'])('recognizes a plain HTTP port if the URL has the scheme %s', async (scheme) => {
  const reason = await reasonOf(scheme, createHttpServer())
  expect(reason).toMatch(/^The broker does not use TLS on this port.*Check the port/)
  expect(reason).not.toMatch(/certificate|SSL routines/)
})

test('recognizes a port that supports only TLS 1.0', async () => {
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  const reason = await reasonOf('mqtts', createTlsServer({ ...LOCALHOST, ...old }), LOCALHOST.cert)
  expect(reason).toMatch(/^The broker offers no accepted TLS version/)
  expect(reason).not.toContain('certificate')
})

test('suggests broker.tls.certFile when the broker requires a client certificate', async () => {
  const asking = { requestCert: true, rejectUnauthorized: true, ca: OTHER_NAME.cert }
  const reason = await reasonOf('mqtts', createTlsServer({ ...LOCALHOST, ...asking }), LOCALHOST.cert)
  expect(reason).toMatch(/client certificate.*broker\.tls\.certFile/)
})

test('recognizes a plain HTTP port if the URL has the scheme mqtt', async () => {
  expect(await reasonOf('mqtt', createHttpServer())).toMatch(/speaks HTTP.*ws:\/\//)
})

test('recognizes a TLS port if the URL has the scheme mqtt, even if the server sends no TLS alert', async () => {
  const alert = mute().on('connection', (socket) => socket.write(Buffer.from('15030100020246', 'hex')))
  expect(await reasonOf('mqtt', alert)).toMatch(/speaks TLS.*mqtts:\/\//)
  expect(await reasonOf('mqtt', createTlsServer(LOCALHOST))).toMatch(/before CONNACK.*mqtts:\/\//)
})

test('recognizes that the port of an mqtt URL speaks another protocol', async () => {
  const ssh = mute().on('connection', (socket) => socket.write('SSH-2.0-OpenSSH_9.6\r\n'))
  expect(await reasonOf('mqtt', ssh)).toMatch(/does not speak MQTT.*"SSH-2\.0-OpenSSH_9\.6/)
})

test('recognizes an MQTT port if the URL has the scheme ws', async () => {
  const broker = mute().on('connection', (socket) => socket.write(Buffer.from([0x20, 2, 0, 1])))
  expect(await reasonOf('ws', broker)).toMatch(/does not speak HTTP.*mqtt:\/\//)
})

test('recognizes that the web server of a ws URL does not support WebSocket', async () => {
  const web = createHttpServer((_request, response) => response.writeHead(404).end())
  expect(await reasonOf('ws', web)).toMatch(/404.*path/)
})
