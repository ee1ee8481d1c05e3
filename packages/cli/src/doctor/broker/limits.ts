// Checks the limits in the broker's CONNACK against what the connector and the configured models need.
import type { IConnackPacket } from 'mqtt'
import type { ConnectorConfig } from '@inferwire/connector'
import { fault, notChecked, ok, warning, type Check, type Finding, type Outcome } from '../check.ts'
import type { DoctorContext } from '../context.ts'
import { anyLink } from '../links.ts'

type Properties = NonNullable<IConnackPacket['properties']>
type Judge = (properties: Properties, config: ConnectorConfig | undefined) => Finding[]

// Topic, properties and fixed header of a PUBLISH, generously.
const OVERHEAD_BYTES = 4_096
const RECEIVE_MAXIMUM_SMALL = 10
// The shortest idle time limits of common load balancers are 60 s.
const IDLE_LIMIT_SECONDS = 60

/** The checks of the limits, in order. */
export const brokerLimits: readonly Check[] = [
  limitCheck('broker.packet-size', "the broker accepts packets of the models' sizes", judgePacketSize),
  limitCheck('broker.qos', 'the broker supports QoS 1', judgeQos),
  limitCheck('broker.retained', 'the broker supports retained messages', judgeRetained),
  limitCheck('broker.wildcards', 'the broker supports wildcard subscriptions', judgeWildcards),
  limitCheck('broker.in-flight', 'the broker accepts several unacknowledged replies', judgeReceiveMaximum),
  limitCheck('broker.keep-alive', 'connections are not idle longer than proxies allow', judgeKeepAlive),
]

function limitCheck(id: string, title: string, judge: Judge): Check {
  return {
    id,
    title,
    needs: ['broker.protocol'],
    run: (context) => judged(context, judge),
  }
}

async function judged(context: DoctorContext, judge: Judge): Promise<Outcome> {
  const { config } = context
  const link = await anyLink(context)
  if (link === undefined) return notChecked('no login was accepted')
  const properties = link.connack.properties ?? {}
  return judge(properties, 'value' in config ? config.value : undefined)
}

/** Compares Maximum Packet Size with the limits of the models. */
export function judgePacketSize({ maximumPacketSize }: Properties, config?: ConnectorConfig): Finding[] {
  if (maximumPacketSize === undefined) return [ok('The broker sets no Maximum Packet Size.')]
  const limited = Object.entries(config?.models ?? {}).flatMap(([name, { limits }]) =>
    (['requestBytesMax', 'responseBytesMax'] as const)
      .filter((key) => limits[key] + OVERHEAD_BYTES > maximumPacketSize)
      .map((key) => ({ name, key, bytes: limits[key] })),
  )
  if (limited.length === 0)
    return [ok(`The Maximum Packet Size of the broker is ${maximumPacketSize} bytes.`)]
  const largest = Math.max(...limited.map(({ bytes }) => bytes))
  const names = limited.slice(0, 5).map(({ name, key }) => `models.${name}.limits.${key}`)
  return [
    fault(
      `The broker accepts packets of at most ${maximumPacketSize} bytes, less than ${names.join(', ')}.`,
      `In mosquitto.conf: max_packet_size ${largest + OVERHEAD_BYTES}\nOr lower the limits of the models to ${maximumPacketSize - OVERHEAD_BYTES} bytes.`,
    ),
  ]
}

/** Checks Maximum QoS. */
export function judgeQos({ maximumQoS }: Properties): Finding[] {
  if (maximumQoS !== 0) return [ok('The broker supports QoS 1.')]
  return [
    fault(
      'The broker supports only QoS 0, with which requests are lost whenever a connection breaks.',
      'In mosquitto.conf: max_qos 2 (the default)',
    ),
  ]
}

/** Checks Retain Available. */
export function judgeRetained({ retainAvailable }: Properties): Finding[] {
  if (retainAvailable !== false) return [ok('The broker supports retained messages.')]
  return [
    fault(
      'The broker does not support retained messages, so clients cannot see model cards and statuses.',
      'In mosquitto.conf: retain_available true (the default)',
    ),
  ]
}

/** Checks Wildcard Subscription Available. */
export function judgeWildcards({ wildcardSubscriptionAvailable }: Properties): Finding[] {
  if (wildcardSubscriptionAvailable !== false) return [ok('The broker supports wildcard subscriptions.')]
  return [
    fault(
      'The broker does not support wildcard subscriptions, which the connector needs for {root}/request/#.',
      'Enable wildcard subscriptions on the broker, or use another broker.',
    ),
  ]
}

/** Checks Receive Maximum. */
export function judgeReceiveMaximum({ receiveMaximum }: Properties): Finding[] {
  if (receiveMaximum === undefined || receiveMaximum >= RECEIVE_MAXIMUM_SMALL) {
    return [ok(`The broker accepts ${receiveMaximum ?? 65_535} unacknowledged replies at a time.`)]
  }
  return [
    warning(
      `The broker accepts only ${receiveMaximum} unacknowledged replies at a time, which limits the rate of replies.`,
      'In mosquitto.conf: max_inflight_messages 1000',
    ),
  ]
}

/** Checks the Keep Alive that applies, in seconds. */
export function judgeKeepAlive({ serverKeepAlive }: Properties, config?: ConnectorConfig): Finding[] {
  const asked = config?.broker.keepAliveSeconds
  const seconds = serverKeepAlive ?? asked
  if (seconds === undefined || (seconds > 0 && seconds < IDLE_LIMIT_SECONDS)) {
    return [ok(`Connections send something at least every ${seconds ?? 'few'} seconds.`)]
  }
  const source = serverKeepAlive === undefined ? 'broker.keepAliveSeconds' : 'Server Keep Alive of the broker'
  return [
    warning(
      `The Keep Alive of ${seconds} s (${source}) is longer than many load balancers keep an idle connection (60 s).`,
      serverKeepAlive === undefined
        ? 'Set broker.keepAliveSeconds: 30'
        : 'In mosquitto.conf: max_keepalive 30; or raise the idle time limit of the load balancer.',
    ),
  ]
}
