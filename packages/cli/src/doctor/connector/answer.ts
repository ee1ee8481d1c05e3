// Checks the whole way through the connector with a request for a model that does not exist.
import { PROPERTY } from '@inferwire/protocol'
import { fault, notChecked, ok, type Check, type Finding } from '../check.ts'
import { linkOf } from '../links.ts'
import type { ReceivedMessage } from '../mqtt/probe-link.ts'
import { replyTopic, requestTopic } from '../probe-topics.ts'

const NO_SUBSCRIBER = 0x10
const REFUSAL_MIN = 0x80
// A second answer would follow the first one closely.
const SECOND_MS = 300

export const connectorAnswer: Check = {
  id: 'connector.answer',
  title: 'a connector answers requests, exactly once',
  needs: ['broker.client-login', 'broker.qos?', 'access.reply?'],
  run: async (context) => {
    const { client } = context
    const link = await linkOf(context, 'client')
    if ('missing' in client || link === undefined) return notChecked('no login was accepted')
    const { identity } = client.value
    const topic = replyTopic(context, identity, 'answer')
    const correlationData = Buffer.from(context.nonce)
    await link.subscribe(topic)
    const { reasonCode } = await link.publish(requestTopic(context, identity, 'answer'), '{}', {
      properties: { correlationData },
    })
    if (reasonCode === NO_SUBSCRIBER) return noAnswer('the broker has no subscriber for requests')
    if (reasonCode >= REFUSAL_MIN) return notChecked('access.request failed')
    const isIt = (message: ReceivedMessage): boolean => message.topic === topic
    const answer = await link.first(isIt, context.timeoutMs - SECOND_MS)
    if (answer === undefined)
      return noAnswer(`no reply on ${topic} within ${(context.timeoutMs - SECOND_MS) / 1_000} s`)
    const { messages } = link
    await link.first((message) => isIt(message) && message !== answer, SECOND_MS)
    return judgeAnswers(messages.filter(isIt), correlationData, link.mqttVersion)
  },
}

function noAnswer(why: string): Finding {
  return fault(
    `No connector answers requests: ${why}.`,
    'Check that the connector is ready (its /readyz, and the log line session_ready), uses the same broker and root, and that its user may read requests and publish replies (the checks access.request and access.reply).',
  )
}

/** Judges the answers to one request. */
export function judgeAnswers(
  answers: readonly ReceivedMessage[],
  correlationData: Buffer,
  version: 5 | '3.1.1',
): Finding {
  const [first] = answers
  const codes = answers.map(codeOf)
  if (first === undefined || codes.includes(undefined)) {
    return fault(
      'Another program than Inferwire answers requests.',
      'Find the client that publishes below {root}/reply/, or use another root.',
    )
  }
  if (answers.length > 1) {
    return fault(
      `${answers.length} connectors answered the same request.`,
      'Set broker.share to the same name in the configuration of all connectors.',
    )
  }
  if (version === 5 && first.packet.properties?.correlationData?.equals(correlationData) !== true) {
    return fault(
      'The reply of the connector arrived without its Correlation Data.',
      'A bridge between client and connector removes MQTT 5 properties. For a bridge of Mosquitto, add: bridge_protocol_version mqttv50',
    )
  }
  return ok(`A connector answers (${codes[0]}, as expected for a model that does not exist).`)
}

function codeOf({ payload, packet }: ReceivedMessage): string | undefined {
  const property = (packet.properties?.userProperties as Record<string, unknown> | undefined)?.[PROPERTY.code]
  if (typeof property === 'string') return property
  try {
    const { code } = JSON.parse(payload.toString('utf8')) as { code?: unknown }
    return typeof code === 'string' ? code : undefined
  } catch {
    return undefined
  }
}
