// Faults of the access rules, and of what broker, bridge and proxies do to messages.
import type { PlantedFault } from './planted-fault.ts'
import { edgeBroker, withUrl, without } from './plants.ts'
import { withIdleLimit } from './stand-ins.ts'
import { ACL } from './world.ts'

/** Faults of the access rules, and of what broker, bridge and proxies do to messages. */
export const ACCESS_FAULTS: readonly PlantedFault[] = [
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
]
