// The error for a packet that the broker refuses, and MQTT's reason codes.

/** Reason codes that the broker sends (MQTT 5 §2.4). */
export const REASON = {
  noMatchingSubscribers: 0x10,
  noSubscriptionExisted: 0x11,
  unspecifiedError: 0x80,
  malformedPacket: 0x81,
  protocolError: 0x82,
  unsupportedProtocolVersion: 0x84,
  clientIdentifierNotValid: 0x85,
  notAuthorized: 0x87,
  serverShuttingDown: 0x8b,
  badAuthenticationMethod: 0x8c,
  keepAliveTimeout: 0x8d,
  sessionTakenOver: 0x8e,
  topicFilterInvalid: 0x8f,
  topicNameInvalid: 0x90,
  packetIdentifierNotFound: 0x92,
  receiveMaximumExceeded: 0x93,
  topicAliasInvalid: 0x94,
  packetTooLarge: 0x95,
  quotaExceeded: 0x97,
} as const

/** The reason why a packet is refused. The message contains no line breaks and no unprintable text from the packet. */
export class RefusedPacketError extends Error {
  override readonly name = 'RefusedPacketError'
  /** One of {@link REASON}. */
  readonly reasonCode: number
  /** Protocol level of a refused CONNECT, which determines the format of the CONNACK. */
  readonly connectVersion: number | undefined

  constructor(message: string, reasonCode: number = REASON.malformedPacket, connectVersion?: number) {
    super(message)
    this.reasonCode = reasonCode
    this.connectVersion = connectVersion
  }
}
