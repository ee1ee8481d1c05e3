// The error for bytes that are not valid MQTT. It ends the connection; with MQTT 5, DISCONNECT 0x81 is sent first.
//
// The following violations of the specification are tolerated on purpose:
// - PUBLISH with QoS 0 and DUP (MQTT-3.3.1-2), and a Payload Format Indicator above 1 (§3.3.2.3.2): some brokers
// forward these fields as a device sent them. Neither field changes the meaning of the packet, and one device must
// not end the session for all clients.
// - PUBLISH with a wildcard in its topic name (MQTT-3.3.2-2): this topic cannot be a request topic, so the message
// is discarded.
// - PUBLISH with a Subscription Identifier, although we subscribe without one: an earlier program may have
// subscribed with an identifier in the session that we resumed. (0 is malformed: no broker can have assigned it,
// §3.3.2.3.8.)
// - Session Present, although this process is new (MQTT-3.2.2-4): the broker's session is our queue, and the
// client's part of a QoS 1 session contains nothing that a new process needs.
// - Maximum QoS 2 in CONNACK (§3.2.2.3.4): it has the same meaning as no Maximum QoS.
// - A Remaining Length with more bytes than needed (MQTT-1.5.5-1): MQTT 3.1.1 does not forbid it.
// - PUBACK for a publish that is not in flight: there is nothing to acknowledge.
// - A refusing CONNACK without a Property Length (§3.2.2.3): the operator needs its reason code.
// - More unacknowledged PUBLISH packets than our Receive Maximum (§3.3.4): requests above our limits are answered
// with `overloaded`, and there are only 65,535 Packet Identifiers.
// - Reason codes that MQTT 5 does not define: codes of 0x80 and above mean refusal, lower codes mean success
// (§2.4).

/** A packet that violates the specification. The connection must not be used after it. */
export class MalformedPacket extends Error {
  override readonly name = 'MalformedPacket'
}

/** Returns text from the broker for a log line or a message, limited in length and on one line. */
export function shown(text: string): string {
  return text.slice(0, 200).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, ' ')
}
