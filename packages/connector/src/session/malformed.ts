// What is thrown when the broker's bytes are not MQTT; the connection ends, with MQTT 5 after DISCONNECT 0x81.
//
// Tolerated on purpose, although the specification says otherwise:
// - PUBLISH with QoS 0 and DUP (MQTT-3.3.1-2), and a Payload Format Indicator above 1 (§3.3.2.3.2): some brokers hand on
//   what a device set. Neither changes what the packet means, and one device must not end the session of all.
// - PUBLISH with a wildcard in its topic name (MQTT-3.3.2-2): it is no request topic, and is dropped as such.
// - PUBLISH with a Subscription Identifier, though we ask for none: another program may have subscribed with one in the
//   session that we resumed. (0 is malformed: no broker has given it, §3.3.2.3.8.)
// - Session Present, though this process is new (MQTT-3.2.2-4): the broker's session is our queue, and with QoS 1 a
//   client's half of it holds nothing that a new process would lack.
// - Maximum QoS 2 in CONNACK (§3.2.2.3.4): it means what its absence means.
// - A Remaining Length with more bytes than needed (MQTT-1.5.5-1): MQTT 3.1.1 does not forbid it.
// - PUBACK for a publish that is not open: there is nothing that it could end.
// - A CONNACK that refuses and has no Property Length (§3.2.2.3): its reason code is what the operator needs.
// - More unacknowledged PUBLISH than our Receive Maximum (§3.3.4): requests above our limits are answered `overloaded`,
//   and their number is bounded by the 65,535 Packet Identifiers.
// - Reason codes that MQTT 5 does not define: from 0x80 on a refusal, below a success (§2.4).

/** A packet that breaks the specification. The connection cannot be trusted any more. */
export class MalformedPacket extends Error {
  override readonly name = 'MalformedPacket'
}

/** Text of the other side for a log line or a message: bounded, on one line. */
export function shown(text: string): string {
  return text.slice(0, 200).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, ' ')
}
