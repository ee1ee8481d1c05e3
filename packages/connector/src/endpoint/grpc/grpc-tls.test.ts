// Tests TLS with a gRPC server: certificates, names, and the client certificate.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { SecureServerOptions } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterAll, afterEach, expect, test } from 'vitest'
import { LOCALHOST, OTHER_NAME } from '../../config/testing/certificates.ts'
import type { EndpointResponse, Upstream } from '../../step.ts'
import type { UpstreamFailure } from '../upstream-failure.ts'
import type { UpstreamOptions } from '../upstream-options.ts'
import { MESSAGES } from './inference-proto.ts'
import { answer, startGrpcServer, type GrpcServer, type ServedCall } from './testing/grpc-server.ts'
import { jsonRequest, openTestUpstream } from './testing/open-upstream.ts'

const folder = mkdtempSync(join(tmpdir(), 'inferwire-grpc-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function serving(
  serve: (call: ServedCall) => void,
  options: Partial<UpstreamOptions>,
  tls: SecureServerOptions,
): Promise<{ server: GrpcServer; upstream: Upstream }> {
  const server = await startGrpcServer(serve, { tls })
  const upstream = openTestUpstream(server.url, options)
  closing.push(
    () => upstream.destroy(),
    () => server.stop(),
  )
  return { server, upstream }
}

const ready = (call: ServedCall): void => answer(call, [MESSAGES.ready.encode({ ready: true })])
const call = (upstream: Upstream): Promise<EndpointResponse> =>
  upstream.endpoint('ready', 'v2')!.call(jsonRequest(''))
const failureOf = (promise: Promise<unknown>): Promise<UpstreamFailure> =>
  promise.then(
    () => expect.fail('The call succeeded.'),
    (error: unknown) => error as UpstreamFailure,
  )

function pemFile(name: string, pem: string): string {
  const file = join(folder, name)
  writeFileSync(file, pem)
  return file
}

test('connects with TLS to a server whose certificate has the configured name', async () => {
  const { upstream } = await serving(
    ready,
    { tls: { caFile: pemFile('own.pem', LOCALHOST.cert), serverName: 'localhost' } },
    LOCALHOST,
  )
  expect((await call(upstream)).status).toBe(200)
})

test('for an untrusted authority and a wrong name, the detail names the option to change', async () => {
  const { upstream } = await serving(ready, { tls: { serverName: 'localhost' } }, LOCALHOST)
  const untrusted = await failureOf(call(upstream))
  expect(untrusted.message).toBe("The connector rejected the model server's TLS certificate.")
  expect(untrusted.detail).toContain('tls.caFile')
  const other = await serving(
    ready,
    { tls: { caFile: pemFile('other.pem', OTHER_NAME.cert), serverName: 'localhost' } },
    OTHER_NAME,
  )
  const wrongName = await failureOf(call(other.upstream))
  expect(wrongName.detail).toContain('tls.serverName')
})

const MUTUAL: SecureServerOptions = {
  ...LOCALHOST,
  requestCert: true,
  rejectUnauthorized: true,
  ca: OTHER_NAME.cert,
}

test('sends the client certificate to a server that requires one, and a changed one on new connections', async () => {
  const peers: unknown[] = []
  const { upstream } = await serving(
    (served) => {
      const session = served.stream.session!
      peers.push((session.socket as TLSSocket).getPeerCertificate().subject.CN)
      ready(served)
      session.close()
    },
    {
      tls: {
        caFile: pemFile('own.pem', LOCALHOST.cert),
        serverName: 'localhost',
        certFile: pemFile('client.pem', OTHER_NAME.cert),
        keyFile: pemFile('client.key', OTHER_NAME.key),
      },
    },
    { ...MUTUAL, ca: [OTHER_NAME.cert, LOCALHOST.cert] },
  )
  expect((await call(upstream)).status).toBe(200)
  pemFile('client.pem', LOCALHOST.cert)
  pemFile('client.key', LOCALHOST.key)
  expect((await call(upstream)).status).toBe(200)
  expect(peers).toEqual(['other.example', 'localhost'])
})

const OWN_FILES = {
  certFile: pemFile('localhost.pem', LOCALHOST.cert),
  keyFile: pemFile('localhost.key', LOCALHOST.key),
}

// With TLS 1.3, the client sends its certificate last. Node.js then closes the connection without an alert if it does
// not trust the certificate.
test.each([
  ['no client certificate, with TLS 1.2', {}, 'TLSv1.2', 'handshake failure', undefined],
  ['no client certificate, with TLS 1.3', {}, 'TLSv1.3', "Check the model's tls.certFile", 'mtls_required'],
  ['a client certificate of an unknown authority', OWN_FILES, 'TLSv1.3', 'ModelReady', 'connection_closed'],
] as const)(
  'a server that requires a client certificate rejects %s',
  async (_, files, version, detail, refusal) => {
    const { server, upstream } = await serving(
      ready,
      { tls: { caFile: pemFile('own.pem', LOCALHOST.cert), serverName: 'localhost', ...files } },
      { ...MUTUAL, minVersion: version, maxVersion: version },
    )
    const failure = await failureOf(call(upstream))
    expect(failure).toMatchObject({
      code: 'upstream_unreachable',
      sign: refusal === 'mtls_required' ? 'rejected' : 'unreachable',
    })
    expect(failure.refusal?.name).toBe(refusal)
    expect(failure.detail).toContain(detail)
    expect(server.calls).toHaveLength(0)
  },
)

test('a TLS file that cannot be read causes a configuration error before any call', () => {
  expect(() =>
    openTestUpstream('https://127.0.0.1:1', { tls: { caFile: join(folder, 'missing.pem') } }),
  ).toThrow('ENOENT')
})
