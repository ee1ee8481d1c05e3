// What is thrown when the broker's bytes are not MQTT; the connection ends with DISCONNECT 0x81 or 0x82.

/** A packet that breaks the specification. The connection cannot be trusted any more. */
export class MalformedPacket extends Error {
  override readonly name = 'MalformedPacket'
}
