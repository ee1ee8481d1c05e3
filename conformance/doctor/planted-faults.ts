// The faults that the doctor must find: how each is planted, which check must report it, and with which remedy.
import { execFileSync } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { ConfigInput } from '@inferwire/connector'
import { runConnector } from '../fixtures/connector.ts'
import { freePort } from '../fixtures/free-port.ts'
import { startMosquitto } from '../fixtures/mosquitto.ts'
import { TestClient } from '../fixtures/mqtt-client.ts'
import { json, text } from '../rig/answers.ts'
import { expiredCertificate } from '../rig/expired-certificate.ts'
import { FakeModelServer } from '../rig/model-server.ts'
import { onlyMqtt311, withIdleLimit, withProxyProtocol } from './stand-ins.ts'
import { ACL, CANARIES, passwordFile, type runDoctor, type World, type WorldOptions } from './world.ts'

/** What the doctor is run with. */
export interface Planted {
  readonly config: object
  readonly options?: Parameters<typeof runDoctor>[2]
}

/** One planted fault. */
export interface PlantedFault {
  readonly name: string
  /** Changes the healthy system. @default the healthy system of the test file */
  readonly world?: WorldOptions
  /** Returns the doctor's configuration and options; `later` is called when the run has ended. */
  plant(world: World, later: (undo: () => unknown) => void): Promise<Planted> | Planted
  /** The checks that report a fault: the first one names the cause, the others its consequences. */
  readonly faults: readonly string[]
  /** The checks that report a warning. */
  readonly warnings?: readonly string[]
  /** Words of the message and of the remedy of the first check. */
  readonly message: RegExp
  readonly remedy: RegExp
}

/** All planted faults. */
export const PLANTED_FAULTS: readonly PlantedFault[] = [
  {
    name: 'a misspelt option',
    plant: ({ config }) => ({ config: { ...config, brocker: {} } }),
    faults: ['configuration.file'],
    message: /brocker.*did you mean "broker"/,
    remedy: /Correct the option/,
  },
  {
    name: 'a policy for a model that does not exist',
    plant: ({ config }) => ({
      config: { ...config, policy: { allow: [{ clients: ['*'], models: ['irsi'] }] } },
    }),
    faults: [],
    warnings: ['configuration.warnings'],
    message: /irsi.*matches no model; the models are: iris/,
    remedy: /Correct policy\.allow/,
  },
  {
    name: 'a host name that does not exist',
    plant: ({ config }) => ({ config: withUrl(config, 'mqtt://broker.invalid:1883') }),
    faults: ['broker.address'],
    message: /"broker\.invalid" .* cannot be resolved/,
    remedy: /Check the host in broker\.url/,
  },
  {
    name: 'a closed port',
    plant: async ({ config }) => ({ config: withUrl(config, `mqtt://127.0.0.1:${await freePort()}`) }),
    faults: ['broker.port'],
    message: /does not accept connections \(ECONNREFUSED\)/,
    remedy: /Start the broker[\s\S]*Unable to open pwfile/,
  },
  {
    name: 'a certificate of an unknown authority',
    plant: async ({ config }, later) => ({ config: withUrl(config, await tlsBroker(later, 'localhost')) }),
    faults: ['broker.tls'],
    message: /no trusted certificate authority signed/,
    remedy: /Set broker\.tls\.caFile/,
  },
  {
    name: 'an expired certificate',
    plant: async ({ config }, later) => {
      const { caFile } = expiredCertificate()
      const url = await tlsBroker(later, '127.0.0.1', caFile)
      return { config: withUrl(config, url, { tls: { caFile } }) }
    },
    faults: ['broker.tls'],
    message: /has expired/,
    remedy: /Renew the certificate/,
  },
  {
    name: 'mqtts:// for a port without TLS',
    plant: ({ broker, config }) => ({ config: withUrl(config, `mqtts://127.0.0.1:${broker.port}`) }),
    faults: ['broker.tls'],
    message: /does not use TLS on this port/,
    remedy: /Use mqtt:\/\//,
  },
  {
    name: 'mqtt:// for a port with TLS',
    plant: async ({ config }, later) => {
      const url = await tlsBroker(later, 'localhost')
      return { config: withUrl(config, url.replace('mqtts:', 'mqtt:')) }
    },
    faults: ['broker.protocol'],
    message: /uses TLS/,
    remedy: /Use mqtts:\/\//,
  },
  {
    name: 'the port of a web server',
    plant: async ({ config }, later) => ({
      config: withUrl(config, `mqtt://127.0.0.1:${await webServer(later)}`),
    }),
    faults: ['broker.protocol'],
    message: /A web server answers/,
    remedy: /Use the MQTT port/,
  },
  {
    name: 'a broker with only MQTT 3.1.1',
    plant: async ({ broker, config }, later) => {
      const { port, stop } = await onlyMqtt311(broker.port)
      later(stop)
      return { config: withUrl(config, `mqtt://127.0.0.1:${port}`) }
    },
    faults: ['broker.protocol'],
    message: /speaks only MQTT 3\.1\.1/,
    remedy: /broker\.mqttVersion: '3\.1\.1'/,
  },
  {
    name: 'a listener that expects the PROXY protocol',
    plant: async ({ broker, config }, later) => {
      const { port, stop } = await withProxyProtocol(broker.port)
      later(stop)
      return { config: withUrl(config, `mqtt://127.0.0.1:${port}`) }
    },
    faults: ['broker.protocol'],
    message: /expects the PROXY protocol/,
    remedy: /without enable_proxy_protocol/,
  },
  {
    name: 'a wrong password of the connector',
    plant: ({ config, folder }) => ({
      config: { ...config, broker: { ...config.broker, passwordFile: passwordFile(folder, 'ann') } },
    }),
    faults: ['broker.login'],
    message: /refuses the connector \(user "inferwire"\).*wrong user name or password/,
    remedy: /broker\.passwordFile[\s\S]*inferwire passwd --lint/,
  },
  {
    name: 'a wrong password of the client',
    plant: ({ config, folder }) => ({
      config,
      options: { passwordFile: passwordFile(folder, 'inferwire') },
    }),
    faults: ['broker.client-login'],
    message: /refuses the client \(user "ann"\)/,
    remedy: /-u and --password-file/,
  },
  {
    name: 'a Maximum Packet Size below the limits of the models',
    world: { broker: { config: ['max_packet_size 2000000'] } },
    plant: ({ config }) => ({ config }),
    faults: ['broker.packet-size'],
    message: /at most 2000000 bytes.*models\.iris\.limits\.requestBytesMax/,
    remedy: /max_packet_size 16781312/,
  },
  {
    name: 'a broker without QoS 1',
    world: { broker: { config: ['max_qos 0'] }, connector: false },
    plant: ({ config }) => ({ config }),
    faults: ['broker.qos', 'connector.status'],
    message: /only QoS 0/,
    remedy: /max_qos 2/,
  },
  {
    name: 'a broker without retained messages',
    world: { broker: { config: ['retain_available false'] } },
    plant: ({ config }) => ({ config }),
    faults: ['broker.retained'],
    message: /does not support retained messages/,
    remedy: /retain_available true/,
  },
  {
    name: 'a Keep Alive that is longer than load balancers allow',
    plant: ({ config }) => ({ config: { ...config, broker: { ...config.broker, keepAliveSeconds: 300 } } }),
    faults: [],
    warnings: ['broker.keep-alive'],
    message: /Keep Alive of 300 s/,
    remedy: /broker\.keepAliveSeconds: 30/,
  },
  {
    name: 'a broker that accepts anonymous clients',
    world: { broker: { config: ['allow_anonymous true'] } },
    plant: ({ config }) => ({ config }),
    faults: [],
    warnings: ['access.anonymous'],
    message: /accepts clients without a user name/,
    remedy: /allow_anonymous false/,
  },
  {
    name: 'a connector that may not read requests',
    world: { broker: { acl: without('topic read infer/request/#') } },
    plant: ({ config }) => ({ config }),
    faults: ['access.request', 'connector.answer'],
    message: /accepts requests of the client.*the connector does not receive them/,
    remedy: /user inferwire\ntopic read infer\/request\/#/,
  },
  {
    name: 'a client that may not send requests',
    world: { broker: { acl: without('pattern write infer/request/%u/#') } },
    plant: ({ config }) => ({ config }),
    faults: ['access.request'],
    message: /does not let the client publish requests \(PUBACK 0x87/,
    remedy: /pattern write infer\/request\/%u\/#/,
  },
  {
    name: 'a connector that may not publish replies',
    world: { broker: { acl: without('topic write infer/reply/#') } },
    plant: ({ config }) => ({ config }),
    faults: ['access.reply'],
    message: /does not let the connector publish replies \(PUBACK 0x87/,
    remedy: /user inferwire\ntopic write infer\/reply\/#/,
  },
  {
    name: 'a client that may not read its replies',
    world: { broker: { acl: without('pattern read infer/reply/%u/#') } },
    plant: ({ config }) => ({ config }),
    faults: ['access.reply'],
    message: /accepts replies of the connector.*the client does not receive them/,
    remedy: /pattern read infer\/reply\/%u\/#/,
  },
  {
    name: 'a connector that may not publish its status',
    world: { broker: { acl: without('topic write infer/status/#') } },
    plant: ({ config }) => ({ config }),
    faults: ['access.status', 'connector.status'],
    message: /does not let the connector publish statuses/,
    remedy: /topic write infer\/status\/#/,
  },
  {
    name: 'a connector that may not publish cards',
    world: { broker: { acl: without('topic write infer/models/#') } },
    plant: ({ config }) => ({ config }),
    faults: ['access.cards'],
    message: /does not let the connector publish model cards/,
    remedy: /topic write infer\/models\/#/,
  },
  {
    name: 'clients that can read the replies of others',
    world: { broker: { acl: `${ACL}\npattern read infer/reply/#\n` } },
    plant: ({ config }) => ({ config }),
    faults: ['access.foreign-reply'],
    message: /can read the replies of other clients/,
    remedy: /pattern read infer\/reply\/%u\/#/,
  },
  {
    name: 'clients that can send requests in the name of others',
    world: { broker: { acl: `${ACL}\npattern write infer/request/#\n` } },
    plant: ({ config }) => ({ config }),
    faults: ['access.foreign-request'],
    message: /can send requests in the name of other clients/,
    remedy: /pattern write infer\/request\/%u\/#/,
  },
  {
    name: 'clients that can publish cards',
    world: { broker: { acl: `${ACL}\npattern readwrite infer/models/#\n` } },
    plant: ({ config }) => ({ config }),
    faults: ['access.forged-card'],
    message: /can publish model cards/,
    remedy: /pattern read infer\/models\/#/,
  },
  {
    name: 'a bridge that drops MQTT 5 properties',
    world: { broker: { acl: `${ACL}\nuser bridge\ntopic readwrite infer/#\n` } },
    plant: async ({ broker, config }, later) => ({
      config,
      options: { port: await edgeBroker(broker.port, later) },
    }),
    faults: ['relay.properties', 'connector.answer'],
    message: /do not reach the connector: Response Topic, Correlation Data/,
    remedy: /bridge_protocol_version mqttv50/,
  },
  {
    name: 'a broker that drops large messages',
    world: { broker: { config: ['message_size_limit 100000'] } },
    plant: ({ config }) => ({ config }),
    faults: ['relay.large-message'],
    message: /256 KB does not reach the client/,
    remedy: /remove message_size_limit/,
  },
  {
    name: 'a load balancer that closes idle connections',
    plant: async ({ broker, config }, later) => {
      const { port, stop } = await withIdleLimit(broker.port, 1_500)
      later(stop)
      return { config: withUrl(config, `mqtt://127.0.0.1:${port}`) }
    },
    faults: ['relay.idle'],
    message: /closed after 1\.\d s/,
    remedy: /Raise the idle time limit/,
  },
  {
    name: 'no connector',
    world: { connector: false },
    plant: ({ config }) => ({ config }),
    faults: ['connector.status', 'connector.answer'],
    message: /No connector has published a status/,
    remedy: /inferwire connect/,
  },
  {
    name: 'a connector that was stopped',
    world: {},
    plant: async ({ config, connector }) => {
      await connector!.connector.stop()
      return { config }
    },
    faults: ['connector.status', 'connector.answer'],
    message: /is offline/,
    remedy: /kubectl logs/,
  },
  {
    name: 'two connectors that do not share requests',
    world: {},
    plant: async ({ config }, later) => {
      const second = await runConnector(config)
      later(() => second.connector.stop())
      return { config }
    },
    faults: ['connector.replicas', 'connector.answer'],
    message: /each execute every request for model "iris"/,
    remedy: /Set broker\.share/,
  },
  {
    name: 'a configured model that the connector does not expose',
    plant: ({ config, upstream }) => ({
      config: { ...config, models: { ...config.models, digits: { url: upstream.url } } },
    }),
    faults: ['connector.models'],
    message: /"digits" is configured, but no connector exposes it/,
    remedy: /kill -HUP/,
  },
  {
    name: 'the card of a model that no connector serves',
    world: {},
    plant: ({ broker, config }) => {
      const words = `-p ${broker.port} -u inferwire -P ${CANARIES.inferwire} -r -t infer/models/old -m {}`
      execFileSync('mosquitto_pub', words.split(' '))
      return { config }
    },
    faults: [],
    warnings: ['connector.cards'],
    message: /"old" is retained, but no connector serves the model/,
    remedy: /mosquitto_pub -r -n -t 'infer\/models\/old'/,
  },
  {
    name: 'a model server that does not run',
    world: {},
    plant: async ({ config, upstream }) => {
      await upstream.stop()
      return { config }
    },
    faults: ['models.metadata'],
    message: /"iris": The model server refuses connections/,
    remedy: /Check models\.iris\.url/,
  },
  {
    name: 'another name of the model on its server',
    plant: async ({ config }, later) => ({
      config: withModel(config, await modelServer(later, namedOtherwise)),
    }),
    faults: ['models.metadata'],
    message: /has no model "iris"; its models are: iris-v2/,
    remedy: /models\.iris\.modelName: iris-v2/,
  },
  {
    name: 'a login page in front of the model server',
    plant: async ({ config }, later) => ({
      config: withModel(config, await modelServer(later, text(200, 'text/html', '<!DOCTYPE html>'))),
    }),
    faults: ['models.metadata'],
    message: /web page|login/,
    remedy: /Check models\.iris\.url|credential/,
  },
  {
    name: 'a model that does not answer its example',
    plant: async ({ config }, later) => {
      const server = await FakeModelServer.start({ answer: json(500, { error: 'broken' }) })
      later(() => server.stop())
      return { config: withModel(config, server.url), options: { sample: true } }
    },
    faults: ['models.sample'],
    message: /does not answer its example.*broken/,
    remedy: /models\.iris\.example/,
  },
]

const namedOtherwise: Parameters<typeof modelServer>[1] = (reply, call) =>
  (call.path === '/v2/models' ? json(200, { models: ['iris-v2'] }) : json(404, { error: 'unknown model' }))(
    reply,
    call,
  )

function withUrl(config: ConfigInput, url: string, more: object = {}): object {
  return { ...config, broker: { ...config.broker, url, ...more } }
}

function withModel(config: ConfigInput, url: string): object {
  return { ...config, models: { iris: { url, protocolVersion: 'v2' } } }
}

function without(line: string): string {
  const lines = ACL.split('\n')
  if (!lines.includes(line)) throw new Error(`The access rules do not contain "${line}".`)
  return lines.filter((each) => each !== line).join('\n')
}

async function modelServer(
  later: (undo: () => unknown) => void,
  describe: NonNullable<Parameters<typeof FakeModelServer.start>[0]>['describe'],
): Promise<string> {
  const server = await FakeModelServer.start(describe === undefined ? {} : { describe })
  later(() => server.stop())
  return server.url
}

async function webServer(later: (undo: () => unknown) => void): Promise<number> {
  const server = createServer((_request, response) => response.end('<html></html>'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  later(() => server.close())
  return (server.address() as AddressInfo).port
}

// A certificate file also contains the key's file name: OpenSSL writes both into the same folder.
async function tlsBroker(
  later: (undo: () => unknown) => void,
  host: string,
  certificate?: string,
): Promise<string> {
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

async function edgeBroker(centralPort: number, later: (undo: () => unknown) => void): Promise<number> {
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
