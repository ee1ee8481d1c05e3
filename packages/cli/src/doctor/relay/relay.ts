// Checks by real messages what the broker, or a bridge or proxy in front of it, does to messages.
import { fault, ok, warning, type Check, type Finding } from '../check.ts'
import { withBothSides } from '../both-sides.ts'
import type { DoctorContext } from '../context.ts'
import { deliver } from '../access/deliver.ts'
import { ProbeLink, type ReceivedMessage } from '../mqtt/probe-link.ts'
import { probeClientId, replyTopic, requestTopic } from '../probe-topics.ts'
import { clearRetained } from './clear-retained.ts'

const LARGE_BYTES = 256 * 1024
const EXPIRY_SECONDS = 60

/** Properties, large messages, retained messages, Will and shared subscriptions. */
export const relayChecks: readonly Check[] = [
  {
    id: 'relay.properties',
    title: 'MQTT 5 properties of requests reach the connector unchanged',
    needs: ['access.request'],
    run: (context) =>
      withBothSides(context, async ({ connector, client, identity }) => {
        if (connector.mqttVersion !== 5 || client.mqttVersion !== 5)
          return ok('MQTT 3.1.1 has no properties.')
        const sent = sentProperties(context, identity)
        const { arrived } = await deliver({
          from: client,
          to: connector,
          topic: requestTopic(context, identity, 'properties'),
          properties: sent,
          waitMs: context.messageMs,
        })
        return judgeProperties(sent, arrived)
      }),
  },
  {
    id: 'relay.large-message',
    title: 'a message of 256 KB passes unchanged',
    needs: ['access.reply'],
    run: (context) =>
      withBothSides(context, async ({ connector, client, identity }) => {
        const payload = Buffer.alloc(LARGE_BYTES, context.nonce)
        const { arrived } = await deliver({
          from: connector,
          to: client,
          topic: replyTopic(context, identity, 'large'),
          payload,
          waitMs: context.messageMs,
        }).catch(() => ({ arrived: undefined }))
        if (arrived?.payload.equals(payload) === true) return ok('A message of 256 KB passes.')
        return fault(
          'A message of 256 KB does not reach the client, or not unchanged.',
          'In mosquitto.conf: remove message_size_limit, and set max_packet_size 67108864\nCheck the limits of proxies in front of the broker, such as the size of WebSocket messages.',
        )
      }),
  },
  {
    id: 'relay.retained',
    title: 'a retained message is kept for new subscriptions',
    needs: ['access.reply', 'broker.retained'],
    run: (context) =>
      withBothSides(context, async ({ connector, client, identity }) => {
        const topic = replyTopic(context, identity, 'retained')
        try {
          // If this command is interrupted, the broker removes the message when it expires.
          await connector.publish(topic, 'inferwire doctor', {
            retain: true,
            properties: { messageExpiryInterval: EXPIRY_SECONDS },
          })
          await client.subscribe(topic)
          const arrived = await client.first((message) => message.topic === topic, context.messageMs)
          if (arrived?.packet.retain === true) return ok('The broker keeps retained messages.')
          return fault(
            'The broker does not keep retained messages, so clients cannot see model cards and statuses.',
            'Enable retained messages on the broker, and allow them to the user of the connector.',
          )
        } finally {
          await clearRetained(context, connector, topic)
        }
      }),
  },
  {
    id: 'relay.will',
    title: 'the broker publishes the Will of a lost connection',
    needs: ['access.reply'],
    run: (context) => withBothSides(context, ({ client, identity }) => checkWill(context, client, identity)),
  },
  {
    id: 'relay.share',
    title: 'shared subscriptions work',
    needs: ['access.request'],
    run: (context) =>
      withBothSides(context, async ({ connector, client, identity }) => {
        const topic = requestTopic(context, identity, 'shared')
        const isNeeded = 'value' in context.config && context.config.value.broker.share !== undefined
        const isOffered = connector.connack.properties?.sharedSubscriptionAvailable !== false
        if (isOffered) {
          await connector.subscribe(`$share/${probeClientId(context, 'group')}/${topic}`)
          await client.publish(topic, 'inferwire doctor')
          const arrived = await connector.first((message) => message.topic === topic, context.messageMs)
          if (arrived !== undefined) return ok('Shared subscriptions work.')
        }
        const message = 'The broker does not deliver messages of shared subscriptions ($share).'
        return isNeeded
          ? fault(
              message,
              'Remove broker.share and run one connector, or use a broker with shared subscriptions.',
            )
          : warning(message, 'Run only one connector on this broker.')
      }),
  },
]

interface SentProperties {
  readonly responseTopic: string
  readonly correlationData: Buffer
  readonly contentType: string
  readonly messageExpiryInterval: number
  readonly userProperties: Readonly<Record<string, string>>
}

function sentProperties(context: DoctorContext, identity: string): SentProperties {
  return {
    responseTopic: replyTopic(context, identity, 'properties'),
    correlationData: Buffer.from(`\u0000${context.nonce}`),
    contentType: 'application/json',
    messageExpiryInterval: EXPIRY_SECONDS,
    userProperties: { 'inferwire-doctor': context.nonce },
  }
}

/** Compares the properties of a received request with those that were sent. */
export function judgeProperties(sent: SentProperties, arrived: ReceivedMessage | undefined): Finding {
  const { properties = {} } = arrived?.packet ?? {}
  const expiry = properties.messageExpiryInterval
  const lost = [
    ...(properties.responseTopic === sent.responseTopic ? [] : ['Response Topic']),
    ...(properties.correlationData?.equals(sent.correlationData) === true ? [] : ['Correlation Data']),
    ...(properties.contentType === sent.contentType ? [] : ['Content Type']),
    ...(expiry !== undefined && expiry > 0 && expiry <= EXPIRY_SECONDS ? [] : ['Message Expiry Interval']),
    ...(hasUserProperties(sent, properties.userProperties) ? [] : ['user properties']),
  ]
  if (lost.length === 0) return ok('All properties of a request reach the connector.')
  return fault(
    `These properties of a request do not reach the connector: ${lost.join(', ')}.`,
    'A bridge or proxy between client and connector removes them. For a bridge of Mosquitto, add to its connection section: bridge_protocol_version mqttv50\nUntil then, clients must use an id in the topic instead of Correlation Data, and the default reply topic.',
  )
}

function hasUserProperties(sent: SentProperties, given: object | undefined): boolean {
  const all = { ...given } as Record<string, unknown>
  return Object.entries(sent.userProperties).every(([name, value]) => [all[name]].flat().includes(value))
}

async function checkWill(context: DoctorContext, client: ProbeLink, identity: string): Promise<Finding> {
  const { connector } = context
  if ('missing' in connector) throw new Error(connector.missing)
  const topic = replyTopic(context, identity, 'will')
  await client.subscribe(topic)
  const dying = await ProbeLink.open(connector.value.target, {
    clientId: probeClientId(context, 'will'),
    timeoutMs: context.timeoutMs,
    will: { topic, payload: Buffer.from('inferwire doctor'), qos: 1, retain: false },
  })
  dying.destroy()
  const arrived = await client.first((message) => message.topic === topic, context.messageMs)
  if (arrived !== undefined) return ok('The broker publishes the Will of a lost connection.')
  return fault(
    'The broker does not publish the Will of a lost connection, so a lost connector stays "online".',
    'Allow the user of the connector a Will on {root}/status/#. A proxy in front of the broker must close the connection to the broker when the connection of the client breaks.',
  )
}
