// What a broker's reason codes mean for the operator: what was refused, and what to do.

/** Why a connection could not be made or was ended, in the operator's words. */
export class SessionRefusal extends Error {
  override readonly name = 'SessionRefusal'
  /** The reason code on the wire. */
  readonly reasonCode: number

  constructor(message: string, reasonCode: number) {
    super(message)
    this.reasonCode = reasonCode
  }
}

// MQTT 3.1.1 §3.2.2.3 return codes, as the MQTT 5 reason codes that mean the same.
const FROM_V311: Record<number, number> = { 1: 0x84, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87 }

const CONNACK_REASONS: Record<number, string> = {
  0x80: 'unspecified error',
  0x81: 'malformed packet',
  0x82: 'protocol error',
  0x84: 'unsupported protocol version. Set broker.protocolVersion to 4 (MQTT 3.1.1) for this broker',
  0x85: 'client identifier not valid. Change broker.clientId',
  0x86: 'bad user name or password. Check broker.username and broker.passwordFile',
  0x87: 'not authorized. Check broker.username, broker.passwordFile and the ACL of the broker',
  0x88: 'server unavailable',
  0x89: 'server busy',
  0x8a: 'banned. Ask the operator of the broker',
  0x95: 'packet too large',
  0x97: 'quota exceeded',
  0x9a: 'retained messages are not supported, and the status of a connector is one',
  0x9c: 'use another server',
  0x9d: 'server moved',
  0x9f: 'connection rate exceeded',
}

const DISCONNECT_REASONS: Record<number, string> = {
  0x81: 'it found a packet of ours malformed',
  0x82: 'it found a protocol error in what we sent',
  0x87: 'not authorized any more. Check the user and the ACL of the broker',
  0x89: 'it is busy',
  0x8b: 'it is shutting down',
  0x8d: 'keep alive timeout',
  0x8e: 'another client took over the session: two connectors use the same broker.clientId. Give each its own `name`',
  0x93: 'we sent more than its Receive Maximum',
  0x95: 'a packet of ours was too large for it',
  0x97: 'quota exceeded',
  0x98: 'administrative action',
}

/** The error for a CONNACK that is not a success. */
export function connackRefusal(code: number, protocolVersion: 4 | 5, reasonString?: string): SessionRefusal {
  const reasonCode = protocolVersion === 4 ? (FROM_V311[code] ?? code) : code
  const reason = CONNACK_REASONS[reasonCode] ?? 'unknown reason'
  return new SessionRefusal(
    `The broker refused the connection (0x${reasonCode.toString(16)}): ${reason}${said(reasonString)}.`,
    reasonCode,
  )
}

/** The error for a DISCONNECT that the broker sent. */
export function disconnectRefusal(reasonCode: number, reasonString?: string): SessionRefusal {
  const reason = DISCONNECT_REASONS[reasonCode] ?? 'no reason that we know'
  return new SessionRefusal(
    `The broker ended the connection (0x${reasonCode.toString(16)}): ${reason}${said(reasonString)}.`,
    reasonCode,
  )
}

/** The error for a subscription that was not granted with QoS 1. */
export function subscribeRefusal(filter: string, code: number): SessionRefusal {
  const what =
    code === 0
      ? 'granted only QoS 0, with which requests would be lost'
      : `refused the subscription (0x${code.toString(16)})`
  const plain = filter.replace(/^\$share\/[^/]+\//, '')
  return new SessionRefusal(
    `The broker ${what}: "${filter}". Grant the connector's user read access (ACL: topic read ${plain}).`,
    code,
  )
}

// Broker text goes into a log line: bounded, on one line.
function said(reasonString: string | undefined): string {
  return reasonString
    ? `; it says "${reasonString.slice(0, 200).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, ' ')}"`
    : ''
}
