// Tests TLS with real servers: the messages for failed handshakes, and the client certificate.
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createHttpsServer } from 'node:https'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import type { Problem } from '@inferwire/protocol'
import { afterAll, afterEach, expect, test } from 'vitest'
import { LOCALHOST, OTHER_NAME } from '../../config/testing/certificates.ts'
import type { Deadline } from '../../step.ts'
import { callHttp } from './http-call.ts'
import { openPool } from './open-pool.ts'

const folder = mkdtempSync(join(tmpdir(), 'inferwire-tls-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

async function problemOf(server: Server, trusted?: string): Promise<Problem> {
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  const caFile = join(folder, 'ca.pem')
  if (trusted !== undefined) writeFileSync(caFile, trusted)
  const tls = { serverName: 'localhost', ...(trusted === undefined ? {} : { caFile }) }
  const pool = openPool({ url, tls, callsMax: 1 })
  closing.push(() => {
    server.close()
    void pool.destroy()
  })
  const deadline: Deadline = { atMs: Infinity, problem: undefined, waiting: undefined }
  const options = { path: '/', headers: [], body: null, responseBytesMax: 1_000, deadline, address: 'GET /' }
  return await callHttp(pool, { method: 'GET', ...options }, () => expect.fail('The call succeeded.')).catch(
    (error: unknown) => error as Problem,
  )
}

test('for an untrusted certificate authority, the detail names the option tls.caFile', async () => {
  const { code, message, detail } = await problemOf(createTlsServer(LOCALHOST))
  expect(code).toBe('upstream_unreachable')
  expect(message).toBe("The connector rejected the model server's TLS certificate.")
  expect(detail).toMatch(/self-signed certificate.*the model's tls\.caFile/)
})

test('for a certificate for another host, the detail contains both host names and the option tls.serverName', async () => {
  const { message, detail } = await problemOf(createTlsServer(OTHER_NAME), OTHER_NAME.cert)
  expect(message).toBe("The connector rejected the model server's TLS certificate.")
  expect(detail).toMatch(/another host name.*localhost.*DNS:other\.example.*tls\.serverName/)
})

test('a port with plain HTTP is reported as such, not as a certificate problem', async () => {
  const { message, detail } = await problemOf(createHttpServer())
  expect(message).toBe('The model server does not speak TLS on its port.')
  expect(detail).toMatch(/does not use TLS.*Check the port/)
  expect(message + detail).not.toMatch(/certificate|SSL routines/)
})

test('a server that supports only TLS 1.0 is reported as such, not as a certificate problem', async () => {
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  const { message, detail } = await problemOf(createTlsServer({ ...LOCALHOST, ...old }), LOCALHOST.cert)
  expect(message).toBe('The model server supports no TLS version that the connector accepts.')
  expect(detail).not.toMatch(/certificate/)
})

test('a handshake that the server rejects is reported as a failed handshake, not as a broken connection', async () => {
  const asking = { requestCert: true, rejectUnauthorized: true, ca: OTHER_NAME.cert }
  const server = createTlsServer({ ...LOCALHOST, ...asking, maxVersion: 'TLSv1.2' })
  const { message, detail } = await problemOf(server, LOCALHOST.cert)
  expect(message).toBe('The TLS handshake with the model server failed.')
  expect(detail).toMatch(/handshake failure/)
})

function pemFile(name: string, pem: string): string {
  const file = join(folder, name)
  writeFileSync(file, pem)
  return file
}

test('sends the client certificate to a server that requires one, and a changed one on new connections', async () => {
  const peers: unknown[] = []
  const asking = { requestCert: true, rejectUnauthorized: true, ca: [OTHER_NAME.cert, LOCALHOST.cert] }
  const server = createHttpsServer({ ...LOCALHOST, ...asking }, (request, response) => {
    peers.push((request.socket as TLSSocket).getPeerCertificate().subject.CN)
    response.writeHead(204, { connection: 'close' }).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const pool = openPool({
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tls: {
      serverName: 'localhost',
      caFile: pemFile('server.pem', LOCALHOST.cert),
      certFile: pemFile('client.pem', OTHER_NAME.cert),
      keyFile: pemFile('client.key', OTHER_NAME.key),
    },
    callsMax: 1,
  })
  closing.push(() => {
    server.close()
    void pool.destroy()
  })
  const deadline: Deadline = { atMs: Infinity, problem: undefined, waiting: undefined }
  const options = { path: '/', headers: [], body: null, responseBytesMax: 1_000, deadline, address: 'GET /' }
  const call = (): Promise<number> => callHttp(pool, { method: 'GET', ...options }, ({ status }) => status)
  await call()
  // This connection may resume the session of the first one.
  await call()
  pemFile('client.pem', LOCALHOST.cert)
  pemFile('client.key', LOCALHOST.key)
  await call()
  expect(peers).toEqual(['other.example', 'other.example', 'localhost'])
})
