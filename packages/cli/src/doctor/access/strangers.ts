// Checks that a client can neither read nor write the topics of another client, nor publish model cards.
import { fault, ok, warning, type Check, type Finding } from '../check.ts'
import { withBothSides, type BothSides } from '../both-sides.ts'
import type { DoctorContext } from '../context.ts'
import { replyTopic, requestTopic, stranger } from '../probe-topics.ts'
import { tooMuch } from './acl-lines.ts'

const REFUSAL_MIN = 0x80
// MQTT 3.1.1 has no refusals, so only the absence of a message shows that it was refused.
const ABSENCE_MS = 300

/** The rights that a client must not have. The other client's name is invented, so that no client is disturbed. */
export const accessStrangers: readonly Check[] = [
  {
    id: 'access.foreign-reply',
    title: 'the client cannot read the replies of other clients',
    needs: ['access.reply'],
    run: (context) =>
      withBothSides(context, async (sides) => {
        const { connector, client, identity } = sides
        const topic = replyTopic(context, stranger(context), 'foreign')
        const fence = replyTopic(context, identity, 'fence')
        await client.subscribe(context.topics.replyFilter(stranger(context)))
        await client.subscribe(fence)
        await connector.publish(topic, 'inferwire doctor')
        // The broker delivers messages of one publisher in order: the first one would arrive before the second.
        await connector.publish(fence, 'inferwire doctor')
        await client.first((message) => message.topic === fence, context.messageMs)
        const isRead = client.messages.some((message) => message.topic === topic)
        return isRead
          ? tooWide(
              sides,
              'The client can read the replies of other clients.',
              tooMuch('read', 'reply/%u/#', context),
            )
          : ok('The client receives only its own replies.')
      }),
  },
  {
    id: 'access.foreign-request',
    title: 'the client cannot send requests in the name of other clients',
    needs: ['access.request'],
    run: (context) =>
      withBothSides(context, async (sides) => {
        const topic = requestTopic(context, stranger(context), 'foreign')
        await sides.connector.subscribe(topic)
        return (await mayPublish(context, sides, topic))
          ? tooWide(
              sides,
              'The client can send requests in the name of other clients.',
              tooMuch('write', 'request/%u/#', context),
            )
          : ok('The client can send requests only in its own name.')
      }),
  },
  {
    id: 'access.forged-card',
    title: 'the client cannot publish model cards',
    needs: ['access.cards'],
    run: (context) =>
      withBothSides(context, async (sides) => {
        const topic = context.topics.card(`${stranger(context)}-card`)
        await sides.client.subscribe(topic)
        return (await mayPublish(context, sides, topic))
          ? tooWide(
              sides,
              'The client can publish model cards, so it can forge or remove the cards of real models.',
              tooMuch('read', 'models/#', context),
            )
          : ok('The client cannot publish model cards.')
      }),
  },
]

// On MQTT 5, PUBACK shows whether the broker accepted the message. Otherwise, one of the connections has to receive it.
async function mayPublish(
  { messageMs }: DoctorContext,
  { client, connector }: BothSides,
  topic: string,
): Promise<boolean> {
  const { reasonCode } = await client.publish(topic, '')
  if (client.mqttVersion === 5) return reasonCode < REFUSAL_MIN
  const waitMs = Math.min(ABSENCE_MS, messageMs)
  const isIt = (message: { readonly topic: string }): boolean => message.topic === topic
  return [await connector.first(isIt, waitMs), await client.first(isIt, 0)].some(Boolean)
}

// Without user names, a broker cannot tell clients apart. This is normal on a developer's machine.
function tooWide({ hasUser }: BothSides, message: string, remedy: string): Finding {
  if (hasUser) return fault(message, remedy)
  return warning(
    `${message} The broker accepts clients without a user name.`,
    'In mosquitto.conf: allow_anonymous false, password_file and acl_file. The page docs/guides/connect-to-your-broker.md contains the access rules.',
  )
}
