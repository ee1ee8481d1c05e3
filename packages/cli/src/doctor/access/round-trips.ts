// Checks the access rules by real messages: a SUBACK or PUBACK alone proves nothing on some brokers.
import { fault, ok, type Check, type Finding } from '../check.ts'
import { withBothSides, type BothSides } from '../both-sides.ts'
import type { DoctorContext } from '../context.ts'
import { cancelTopic, replyTopic, requestTopic } from '../probe-topics.ts'
import { clientRule, connectorRule } from './acl-lines.ts'
import { deliver, hex, type Delivery } from './deliver.ts'

/** A way that messages take between client and connector. */
interface Way {
  readonly id: string
  readonly title: string
  /** What is sent, for messages: `requests`. */
  readonly what: string
  readonly from: 'connector' | 'client'
  topic(context: DoctorContext, client: string): string
  /** The rule that lets the publisher publish, and the rule that lets the receiver receive. */
  publishRule(context: DoctorContext): string
  receiveRule(context: DoctorContext): string
}

/** Requests, replies and cancel messages. */
export const accessRoundTrips: readonly Check[] = [
  wayCheck({
    id: 'access.request',
    title: 'requests of the client reach the connector',
    what: 'requests',
    from: 'client',
    topic: (context, client) => requestTopic(context, client, 'request'),
    publishRule: (context) => clientRule(context, 'write', 'request/%u/#'),
    receiveRule: (context) => connectorRule(context, 'read', 'request/#'),
  }),
  wayCheck({
    id: 'access.reply',
    title: 'replies of the connector reach the client',
    what: 'replies',
    from: 'connector',
    topic: (context, client) => replyTopic(context, client, 'reply'),
    publishRule: (context) => connectorRule(context, 'write', 'reply/#'),
    receiveRule: (context) => clientRule(context, 'read', 'reply/%u/#'),
  }),
  wayCheck({
    id: 'access.cancel',
    title: 'cancel messages of the client reach the connector',
    what: 'cancel messages',
    from: 'client',
    topic: (context, client) => cancelTopic(context, client, 'cancel'),
    publishRule: (context) => clientRule(context, 'write', 'cancel/%u/#'),
    receiveRule: (context) => connectorRule(context, 'read', 'cancel/#'),
  }),
]

function wayCheck(way: Way): Check {
  const { id, title } = way
  return {
    id,
    title,
    needs: ['broker.login?', 'broker.client-login?', 'broker.qos?'],
    run: (context) =>
      withBothSides(context, async (sides) => {
        const topic = way.topic(context, sides.identity)
        const [from, to] = ends(way, sides)
        const delivery = await deliver({ from, to, topic, waitMs: context.messageMs })
        return judgeDelivery(way, context, sides, topic, delivery)
      }),
  }
}

function ends({ from }: Way, { connector, client }: BothSides) {
  return from === 'client' ? ([client, connector] as const) : ([connector, client] as const)
}

function judgeDelivery(
  way: Way,
  context: DoctorContext,
  sides: BothSides,
  topic: string,
  { refusedBy, subscriptionRefusedBy, arrived }: Delivery,
): Finding {
  const { what, from } = way
  const [publisher, receiver] = from === 'client' ? ['client', 'connector'] : ['connector', 'client']
  if (arrived !== undefined)
    return ok(`The ${publisher} can publish ${what}, and the ${receiver} receives them.`)
  if (refusedBy !== undefined) {
    return fault(
      `The broker does not let the ${publisher} publish ${what} (PUBACK ${hex(refusedBy)} on ${topic}).`,
      way.publishRule(context),
    )
  }
  if (subscriptionRefusedBy !== undefined) {
    return fault(
      `The broker does not let the ${receiver} subscribe to ${what} (SUBACK ${hex(subscriptionRefusedBy)} on ${topic}).`,
      way.receiveRule(context),
    )
  }
  const publishing = ends(way, sides)[0]
  // An MQTT 3.1.1 broker acknowledges a forbidden publish like any other.
  const rules =
    publishing.mqttVersion === 5
      ? way.receiveRule(context)
      : `${way.receiveRule(context)}\n${way.publishRule(context)}`
  return fault(
    `The broker accepts ${what} of the ${publisher} on ${topic}, but the ${receiver} does not receive them within ${context.messageMs / 1_000} s.`,
    `${rules}${bridgeHint(context, what)}`,
  )
}

// Different addresses usually mean two brokers with a bridge between them.
function bridgeHint({ connector, client, topics }: DoctorContext, what: string): string {
  if ('missing' in connector || 'missing' in client) return ''
  if (connector.value.target.url.host === client.value.target.url.host) return ''
  const direction = what === 'replies' ? 'in' : 'out'
  const level = what === 'replies' ? 'reply' : what === 'requests' ? 'request' : 'cancel'
  return `\nThe client uses another broker: the bridge between them needs (in the configuration of the client's broker)\ntopic ${topics.root}/${level}/# ${direction} 1`
}
