// Checks the whole way through the connector with a request for a model that does not exist.
import { PROPERTY, type ConnectorStatus } from '@inferwire/protocol'
import { fault, notChecked, ok, warning, type Check, type Finding } from '../check.ts'
import { linkOf } from '../links.ts'
import type { ReceivedMessage } from '../mqtt/probe-link.ts'
import { replyTopic, requestTopic } from '../probe-topics.ts'
import { statusesOf } from './status.ts'

const NO_SUBSCRIBER = 0x10
const REFUSAL_MIN = 0x80
// Further answers would follow the first one closely.
const SECOND_MS = 300

export const connectorAnswer: Check = {
  id: 'connector.answer',
  title: 'each connector answers requests, exactly once',
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
    const expected = answersExpected(statusesOf(context))
    const enough = expected ?? 1
    await link.first(() => link.messages.filter(isIt).length > enough, SECOND_MS)
    return judgeAnswers(link.messages.filter(isIt), {
      expected,
      correlationData,
      mqttVersion: link.mqttVersion,
    })
  },
}

function noAnswer(why: string): Finding {
  return fault(
    `No connector answers requests: ${why}.`,
    'Check that the connector is ready (its /readyz, and the log line session_ready), uses the same broker and root, and that its user may read requests and publish replies (the checks access.request and access.reply).',
  )
}

/**
 * Returns the number of answers to a request for a model that does not exist: every connector answers it, but only one
 * member of each shared subscription. Undefined without statuses.
 */
export function answersExpected(statuses: readonly ConnectorStatus[]): number | undefined {
  if (statuses.length === 0) return undefined
  const online = statuses.filter(({ state }) => state === 'online')
  const alone = online.filter(({ share }) => share === undefined).length
  const shares = new Set(online.flatMap(({ share }) => share ?? []))
  return Math.max(1, alone + shares.size)
}

/** What the answers are compared with. */
interface Asked {
  readonly expected: number | undefined
  readonly correlationData: Buffer
  readonly mqttVersion: 5 | '3.1.1'
}

/** Judges the answers to one request. */
export function judgeAnswers(
  answers: readonly ReceivedMessage[],
  { expected, correlationData, mqttVersion }: Asked,
): Finding {
  const [first] = answers
  const codes = answers.map(codeOf)
  if (first === undefined || codes.includes(undefined)) {
    return fault(
      'Another program than Inferwire answers requests.',
      'Find the client that publishes below {root}/reply/, or use another root.',
    )
  }
  if (expected === undefined && answers.length > 1) {
    return warning(
      `${answers.length} connectors answer, but their statuses cannot be read, so it is unknown whether they expose the same models.`,
      'Grant this user read access to {root}/status/#.',
    )
  }
  const count = expected ?? 1
  if (answers.length > count) {
    return fault(
      `A request was answered ${answers.length} times, but the statuses show ${count} connectors or shared subscriptions.`,
      'Find the connector without a status: its user may not publish below {root}/status/, or it uses the name of another connector. Set broker.share to the same name in the configuration of all connectors that expose the same models.',
    )
  }
  const isCorrelated = ({ packet }: ReceivedMessage): boolean =>
    packet.properties?.correlationData?.equals(correlationData) === true
  if (mqttVersion === 5 && !answers.every(isCorrelated)) {
    return fault(
      'The reply of the connector arrived without its Correlation Data.',
      'A bridge between client and connector removes MQTT 5 properties. For a bridge of Mosquitto, add: bridge_protocol_version mqttv50',
    )
  }
  if (answers.length < count) {
    return fault(
      `Only ${answers.length} of ${count} connectors answer requests.`,
      'Check the connectors whose status is "online": their users may read requests and publish replies, and their logs show no errors.',
    )
  }
  const who = count === 1 ? 'A connector answers' : `${count} connectors answer`
  return ok(`${who} (${codes[0]}, as expected for a model that does not exist).`)
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
