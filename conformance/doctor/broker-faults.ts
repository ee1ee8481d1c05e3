// Faults of the configuration, and of the connection to the broker.
import { freePort } from '../fixtures/free-port.ts'
import { expiredCertificate } from '../rig/expired-certificate.ts'
import type { PlantedFault } from './planted-fault.ts'
import { tlsBroker, webServer, withUrl } from './plants.ts'
import { onlyMqtt311, withProxyProtocol } from './stand-ins.ts'
import { passwordFile } from './world.ts'

/** Faults of the configuration, and of the connection to the broker. */
export const BROKER_FAULTS: readonly PlantedFault[] = [
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
]
