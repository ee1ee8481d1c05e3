// What the planted faults have in common: configurations, brokers and servers with a fault.
import { execFileSync } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { ConfigInput } from '@inferwire/connector'
import { startMosquitto } from '../fixtures/mosquitto.ts'
import { TestClient } from '../fixtures/mqtt-client.ts'
import { json } from '../rig/answers.ts'
import { expiredCertificate } from '../rig/expired-certificate.ts'
import { FakeModelServer } from '../rig/model-server.ts'
import type { Later } from './planted-fault.ts'
import { ACL, CANARIES } from './world.ts'

export const namedOtherwise: Parameters<typeof modelServer>[1] = (reply, call) =>
  (call.path === '/v2/models' ? json(200, { models: ['iris-v2'] }) : json(404, { error: 'unknown model' }))(
    reply,
    call,
  )

export function withUrl(config: ConfigInput, url: string, more: object = {}): object {
  return { ...config, broker: { ...config.broker, url, ...more } }
}

export function withModel(config: ConfigInput, url: string): object {
  return { ...config, models: { iris: { url, protocolVersion: 'v2' } } }
}

export function without(line: string): string {
  const lines = ACL.split('\n')
  if (!lines.includes(line)) throw new Error(`The access rules do not contain "${line}".`)
  return lines.filter((each) => each !== line).join('\n')
}

export async function modelServer(
  later: Later,
  describe: NonNullable<Parameters<typeof FakeModelServer.start>[0]>['describe'],
): Promise<string> {
  const server = await FakeModelServer.start(describe === undefined ? {} : { describe })
  later(() => server.stop())
  return server.url
}

export async function webServer(later: Later): Promise<number> {
  const server = createServer((_request, response) => response.end('<html></html>'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  later(() => server.close())
  return (server.address() as AddressInfo).port
}

// A certificate file also contains the key's file name: OpenSSL writes both into the same folder.
export async function tlsBroker(later: Later, host: string, certificate?: string): Promise<string> {
  const cert = certificate ?? selfSigned()
  const broker = await startMosquitto({
    config: [`certfile ${cert}`, `keyfile ${join(cert, '..', 'key.pem')}`],
  })
  later(() => broker.stop())
  return `mqtts://${host}:${broker.port}`
}

function selfSigned(): string {
  const { caFile } = expiredCertificate()
  const folder = join(caFile, '..')
  const cert = join(folder, 'valid.pem')
  const words = `req -x509 -key ${join(folder, 'key.pem')} -out ${cert} -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost`
  execFileSync('openssl', words.split(' '), { stdio: 'ignore' })
  return cert
}

export async function edgeBroker(centralPort: number, later: Later): Promise<number> {
  const edge = await startMosquitto({
    acl: ACL,
    users: { ann: CANARIES.ann },
    config: [
      'connection edge',
      `address 127.0.0.1:${centralPort}`,
      'remote_username bridge',
      `remote_password ${CANARIES.bridge}`,
      'topic infer/request/# out 1',
      'topic infer/cancel/# out 1',
      'topic infer/reply/# in 1',
      'topic infer/models/# in 1',
      'topic infer/status/# in 1',
    ],
  })
  later(() => edge.stop())
  // The arrival of a retained message from the central broker shows that the bridge is connected.
  const client = await TestClient.connect(edge.url, { username: 'ann', password: CANARIES.ann })
  await client.subscribe('infer/status/#')
  await client.wait(({ topic }) => topic.startsWith('infer/status/'), 'status over the bridge')
  await client.close()
  return edge.port
}
