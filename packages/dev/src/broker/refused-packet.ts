// A packet that the broker does not take, and what the sender is told.

/** Reason codes that the guard sends (MQTT 5 §2.4). */
export const REASON = {
  malformedPacket: 0x81,
  protocolError: 0x82,
  unsupportedProtocolVersion: 0x84,
  notAuthorized: 0x87,
  topicFilterInvalid: 0x8f,
  topicNameInvalid: 0x90,
  topicAliasInvalid: 0x94,
  packetTooLarge: 0x95,
} as const

/** Why a packet is refused; the message has no line breaks and nothing of the packet that is not printable. */
export class RefusedPacketError extends Error {
  override readonly name = 'RefusedPacketError'
  /** One of {@link REASON}. */
  readonly reasonCode: number
  /** Protocol level of the CONNECT that is refused: it decides what a refusing CONNACK looks like. */
  readonly connectVersion: number | undefined

  constructor(message: string, reasonCode: number = REASON.malformedPacket, connectVersion?: number) {
    super(message)
    this.reasonCode = reasonCode
    this.connectVersion = connectVersion
  }
}
