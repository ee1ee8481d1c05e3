// The reason codes of MQTT 5 (§2.4): their names, and the remedy for each packet.

// The names of table 2-6.
const NAMES: Readonly<Record<number, string>> = {
  0x00: 'success',
  0x01: 'granted QoS 1',
  0x02: 'granted QoS 2',
  0x04: 'disconnect with Will Message',
  0x10: 'no matching subscribers',
  0x11: 'no subscription existed',
  0x18: 'continue authentication',
  0x19: 're-authenticate',
  0x80: 'unspecified error',
  0x81: 'malformed packet',
  0x82: 'protocol error',
  0x83: 'implementation specific error',
  0x84: 'unsupported protocol version',
  0x85: 'client identifier not valid',
  0x86: 'bad user name or password',
  0x87: 'not authorized',
  0x88: 'server unavailable',
  0x89: 'server busy',
  0x8a: 'banned',
  0x8b: 'server shutting down',
  0x8c: 'bad authentication method',
  0x8d: 'keep alive timeout',
  0x8e: 'session taken over',
  0x8f: 'topic filter invalid',
  0x90: 'topic name invalid',
  0x91: 'packet identifier in use',
  0x92: 'packet identifier not found',
  0x93: 'receive maximum exceeded',
  0x94: 'topic alias invalid',
  0x95: 'packet too large',
  0x96: 'message rate too high',
  0x97: 'quota exceeded',
  0x98: 'administrative action',
  0x99: 'payload format invalid',
  0x9a: 'retain not supported',
  0x9b: 'QoS not supported',
  0x9c: 'use another server',
  0x9d: 'server moved',
  0x9e: 'shared subscriptions not supported',
  0x9f: 'connection rate exceeded',
  0xa0: 'maximum connect time',
  0xa1: 'subscription identifiers not supported',
  0xa2: 'wildcard subscriptions not supported',
}

const LOG = "See the broker's log."
const REPORT = `${LOG} If it happens again, please report it with the name and version of the broker.`
const CREDENTIALS = "Check broker.username, broker.passwordFile and the broker's access rules."
const LATER = 'The connector will retry.'
const SLOWER = 'Raise the limit in the broker, or reduce the number of clients that send at the same time.'
const PACKET_SIZE = "Raise the broker's maximum packet size."
const ANOTHER_SERVER = 'Set broker.url to the other server.'
const NO_RETAIN = "The connector's status and the model cards are not retained from now on."
const NO_SHARE =
  'Remove broker.share and run one connector, or use a broker that supports shared subscriptions.'
const NO_WILDCARDS = 'Request topics need wildcards: use a broker that supports wildcard subscriptions.'
const QOS = 'Requests need QoS 1: use a broker, or one of its listeners, that supports QoS 1.'
const STATUS_TOPIC =
  'Check `root` and `name`: the topic of the Will is the status topic, which is built from them.'

type Remedies = Readonly<Record<number, string>>

// Remedies for CONNACK (§3.2.2.2).
const CONNACK: Remedies = {
  0x80: LOG,
  0x81: REPORT,
  0x82: REPORT,
  0x83: LOG,
  0x84: 'Set broker.mqttVersion to 3.1.1 for this broker.',
  0x85: 'Change broker.clientId.',
  0x86: 'Check broker.username and broker.passwordFile.',
  0x87: CREDENTIALS,
  0x88: LATER,
  0x89: LATER,
  0x8a: 'Contact the operator of the broker.',
  0x8c: 'Configure the broker to accept a user name and password, or a client certificate.',
  0x90: STATUS_TOPIC,
  0x95: PACKET_SIZE,
  0x97: 'Raise the quota in the broker.',
  0x99: 'The Will is JSON in UTF-8: check whether the broker requires another payload format.',
  0x9a: NO_RETAIN,
  0x9b: QOS,
  0x9c: ANOTHER_SERVER,
  0x9d: ANOTHER_SERVER,
  0x9f: LATER,
}

// Remedies for DISCONNECT (§3.14.2.1).
const DISCONNECT: Remedies = {
  0x00: LATER,
  0x04: LATER,
  0x80: LOG,
  0x81: REPORT,
  0x82: REPORT,
  0x83: LOG,
  0x87: CREDENTIALS,
  0x89: LATER,
  0x8b: LATER,
  0x8d: 'Raise broker.keepAliveSeconds, or find out what delays the connector or the network.',
  0x8e: 'Another client took over the session: two connectors use the same broker.clientId. Give each its own `name`.',
  0x8f: 'Check `root`.',
  0x90: 'Check for a Response Topic or a deadLetterTopic that the broker does not allow.',
  0x93: REPORT,
  0x94: REPORT,
  0x95: PACKET_SIZE,
  0x96: SLOWER,
  0x97: SLOWER,
  0x98: 'Contact the operator of the broker.',
  0x99: 'Check which payload format the broker requires for replies.',
  0x9a: NO_RETAIN,
  0x9b: QOS,
  0x9c: ANOTHER_SERVER,
  0x9d: ANOTHER_SERVER,
  0x9e: NO_SHARE,
  0x9f: LATER,
  0xa0: LATER,
  0xa1: REPORT,
  0xa2: NO_WILDCARDS,
}

const READ = "Grant the connector's user read access"

// Remedies for SUBACK and UNSUBACK (§3.9.3, §3.11.3).
const SUBSCRIPTION: Remedies = {
  0x80: `${READ}, or check the broker's log.`,
  0x83: LOG,
  0x87: `${READ}.`,
  0x8f: 'Check `root`.',
  0x91: REPORT,
  0x97: 'Raise the subscription quota in the broker.',
  0x9e: NO_SHARE,
  0xa1: REPORT,
  0xa2: NO_WILDCARDS,
}

const WRITE = "Grant the connector's user write access to it"

// Remedies for PUBACK (§3.4.2.1).
const PUBACK: Remedies = {
  0x80: `${WRITE}, or check the broker's log.`,
  // Sent by Mosquitto because of its message_size_limit.
  0x83: "The message may be too large for the broker; see the broker's log.",
  0x87: `${WRITE}.`,
  0x90: 'Check `root` and `name`.',
  0x91: REPORT,
  0x97: 'Raise the quota in the broker.',
  0x99: 'Check which payload format the broker requires on this topic.',
}

const REMEDIES = { CONNACK, DISCONNECT, SUBACK: SUBSCRIPTION, UNSUBACK: SUBSCRIPTION, PUBACK } as const

/** A packet with reason codes. */
export type ReasonCarrier = keyof typeof REMEDIES

/** Returns the name of a code with its number, such as `not authorized, 0x87`. */
export function reasonName(code: number): string {
  return `${NAMES[code] ?? 'a reason code that MQTT 5 does not define'}, ${hex(code)}`
}

/** Returns the remedy for a reason code: one or two sentences. */
export function remedyOf(packet: ReasonCarrier, code: number): string {
  return REMEDIES[packet][code] ?? `MQTT 5 does not allow this code in ${packet}. ${LOG}`
}

function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, '0')}`
}
