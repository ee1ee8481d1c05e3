// The error for bytes that are not valid MQTT: the connection ends, with MQTT 5 after DISCONNECT 0x81.
//
// Tolerated on purpose, against the specification:
// - PUBLISH with QoS 0 and DUP (MQTT-3.3.1-2), and a Payload Format Indicator above 1 (§3.3.2.3.2): some brokers
//   forward what a device sent. Neither changes the meaning of the packet, and one device must not end the session for
//   all.
// - PUBLISH with a wildcard in its topic name (MQTT-3.3.2-2): it is not a request topic, and is discarded as such.
// - PUBLISH with a Subscription Identifier, though we subscribe without one: another program may have used one in the
//   session that we resumed. (0 is malformed: no broker can have assigned it, §3.3.2.3.8.)
// - Session Present, though this process is new (MQTT-3.2.2-4): the broker's session is our queue, and the client's
//   part of a QoS 1 session contains nothing that a new process needs.
// - Maximum QoS 2 in CONNACK (§3.2.2.3.4): it means the same as its absence.
// - A Remaining Length with more bytes than needed (MQTT-1.5.5-1): MQTT 3.1.1 does not forbid it.
// - PUBACK for a publish that is not in flight: there is nothing to acknowledge.
// - A CONNACK with a refusal and without a Property Length (§3.2.2.3): the operator needs its reason code.
// - More unacknowledged PUBLISH packets than our Receive Maximum (§3.3.4): requests above our limits are answered with
//   `overloaded`, and the 65,535 Packet Identifiers bound their number.
// - Reason codes that MQTT 5 does not define: 0x80 and above is a refusal, below is a success (§2.4).

/** A packet that violates the specification. The connection cannot be trusted after it. */
export class MalformedPacket extends Error {
  override readonly name = 'MalformedPacket'
}

/** Text from the peer for a log line or a message: limited in length, on one line. */
export function shown(text: string): string {
  return text.slice(0, 200).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, ' ')
}
