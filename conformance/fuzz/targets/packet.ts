// Target: feeds a broker's bytes to the session, in both protocol versions: frames, PUBLISH, control packets,
// acknowledgements.
import { Duplex } from 'node:stream'
import { isDeepStrictEqual } from 'node:util'
import {
  Connection,
  decodePublish,
  encodePublish,
  FrameReader,
  Outbox,
  PacketWriter,
  publishPacketBytes,
  type AckOrderKind,
  type BrokerLimits,
  type ByteSink,
  type Frame,
} from '../../../packages/connector/src/internal.ts'
import type { OutgoingMessage, ReceivedDelivery } from '../../../packages/connector/src/session/index.ts'
import { claim, shapeOf, type FuzzTarget } from '../target.ts'
import { mutatePackets, PACKET_DICTIONARY, PACKET_SEEDS, plainConnack } from './packet-bytes.ts'

const FRAME_BYTES_MAX = 1024
// No length in a packet may cause an allocation above this limit. The limit exceeds the writer's buffer of 64 KiB.
const ALLOCATION_BYTES_MAX = 256 * 1024

let largestAllocation = 0
for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const) {
  const allocate = Buffer[name].bind(Buffer) as (size: number, ...rest: unknown[]) => Buffer<ArrayBuffer>
  Buffer[name] = (size: number, ...rest: unknown[]) => {
    largestAllocation = Math.max(largestAllocation, size)
    return allocate(size, ...rest)
  }
}

/** Fuzzes the session's packet handling. */
export const target: FuzzTarget = {
  name: 'packet',
  seedInputs: PACKET_SEEDS,
  dictionary: PACKET_DICTIONARY,
  mutate: mutatePackets,
  async run(input) {
    largestAllocation = 0
    const labels: string[] = []
    for (const version of [5, 4] as const) {
      const ackOrder = input.length % 2 === 0 ? 'strict' : 'as-settled'
      const whole = await listen(input, version, ackOrder, Number.POSITIVE_INFINITY)
      const pieces = await listen(input, version, ackOrder, 1 + (input.length % 7))
      claim(
        isDeepStrictEqual(pieces.events, whole.events),
        'the result depends on the chunks in which the bytes arrive',
      )
      labels.push(whole.label)
    }
    claim(largestAllocation <= ALLOCATION_BYTES_MAX, `a buffer of ${largestAllocation} bytes was allocated`)
    return labels.join(' ')
  },
}

class Wire extends Duplex {
  readonly sent: Buffer[] = []
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.sent.push(Buffer.from(chunk))
    done()
  }
}

interface Heard {
  readonly events: unknown[]
  readonly label: string
}

const INPUT_OVER = new Error('The input has ended.')
const MESSAGE: OutgoingMessage = {
  topic: 'infer/reply/c/m',
  payload: Buffer.from('{}'),
  qos: 1,
  retain: false,
  properties: {},
}

// Feeds the input to one connection in chunks.
async function listen(
  input: Buffer,
  version: 4 | 5,
  ackOrder: AckOrderKind,
  chunkBytes: number,
): Promise<Heard> {
  const wire = new Wire()
  const events: unknown[] = []
  const kinds: string[] = []
  const deliveries: ReceivedDelivery[] = []
  const outbox = new Outbox()
  for (let count = 0; count < 2; count++) {
    outbox.publish(MESSAGE, (result) => events.push(['published', result]))
  }
  let sink: ByteSink | undefined
  let subscribed: Promise<unknown> | undefined
  const options = {
    connect: connectOptions(version),
    ackOrder: {
      epoch: 1,
      holdMaxMs: ackOrder === 'strict' ? Number.POSITIVE_INFINITY : 0,
      // The identifiers in the input are in arbitrary order, so the broker's counter cannot be derived from them.
      identifiers: { count: 65_535, distanceMax: Number.POSITIVE_INFINITY },
    },
    frameBytesMax: () => FRAME_BYTES_MAX,
  }
  const connection = new Connection({ stream: wire, onBytes: (given) => (sink = given) }, options, {
    connected(connection, limits) {
      checkLimits(limits)
      events.push(['connected', limits])
      outbox.connected(
        { writer: connection.writer, protocolVersion: version, ...limits },
        limits.sessionPresent,
      )
      subscribed = connection
        .subscribe(['infer/request/#', 'infer/cancel/#'])
        .catch((error: unknown) => error)
    },
    delivered(delivery) {
      checkDelivery(delivery, version)
      deliveries.push(delivery)
      events.push(['delivered', delivery.topic, delivery.packetId, delivery.payload, delivery.properties])
      kinds.push(`p${delivery.qos}${delivery.isWhole ? '' : '-'}${Object.keys(delivery.properties).length}`)
    },
    acknowledged(packetId, reasonCode) {
      const isOurs = outbox.acknowledged(packetId, reasonCode)
      events.push(['acknowledged', packetId, reasonCode, isOurs])
      kinds.push(`a${Number(isOurs)}`)
    },
  })
  const end: { reason?: Error } = {}
  const destroy = connection.destroy.bind(connection)
  connection.destroy = (reason) => {
    end.reason ??= reason
    destroy(reason)
  }
  const bytes =
    input.length > 0 && input[0]! >> 4 === 2 ? input : Buffer.concat([plainConnack(version), input])
  for (let offset = 0; offset < bytes.length; offset += chunkBytes) {
    // The receive buffer is reused: the session must copy all data that it keeps.
    const chunk = Buffer.from(bytes.subarray(offset, offset + chunkBytes))
    sink?.take(chunk)
    chunk.fill(0xa5)
  }
  checkAcknowledgements(connection, deliveries, wire, ackOrder)
  events.push(end.reason?.message)
  connection.destroy(INPUT_OVER)
  outbox.close()
  await connection.closed
  const answer = await subscribed
  events.push(String(answer))
  claim(!(answer instanceof TypeError), `SUBACK: ${String(answer)}`)
  return {
    events,
    label: `${version}:${[...new Set(kinds)].slice(0, 2).join(',')}:${shapeOf(end.reason?.message ?? 'open')}`,
  }
}

function connectOptions(protocolVersion: 4 | 5) {
  return {
    protocolVersion,
    clientId: 'fuzz',
    username: undefined,
    password: undefined,
    keepAliveSeconds: 30,
    sessionExpirySeconds: 300,
    receiveMaximum: 65_535,
    will: { topic: 'infer/status/fuzz', payload: '{}', retain: true, delaySeconds: 0 },
  }
}

function checkLimits(limits: BrokerLimits): void {
  const { receiveMaximum, maximumPacketSize, maximumQoS, keepAliveSeconds } = limits
  for (const [name, value] of Object.entries(limits)) {
    claim(typeof value === 'number' || typeof value === 'boolean', `limit ${name} is ${String(value)}`)
  }
  // MQTT 5 §3.2.2.3.3 and §3.2.2.3.6: a value of 0 is a Protocol Error. It would block all sending.
  claim(receiveMaximum >= 1 && receiveMaximum <= 65_535, 'Receive Maximum is out of its range')
  claim(maximumPacketSize >= 1, 'Maximum Packet Size is 0')
  claim([0, 1, 2].includes(maximumQoS), 'Maximum QoS is out of its range')
  claim(keepAliveSeconds >= 0 && keepAliveSeconds <= 65_535, 'Keep Alive is out of its range')
}

function checkDelivery(delivery: ReceivedDelivery, version: 4 | 5): void {
  const { topic, payload, payloadBytes, propertyBytes, isWhole, qos, packetId, properties } = delivery
  claim(typeof topic === 'string' && topic !== '', 'a delivery has an empty topic')
  claim(Buffer.isBuffer(payload) && payloadBytes >= 0 && propertyBytes >= 0, 'a size is negative')
  claim(
    payload.length === (isWhole ? payloadBytes : 0),
    'the size of the payload differs from `payloadBytes`',
  )
  claim(qos === 0 ? packetId === 0 : packetId > 0, 'the Packet Identifier does not fit the QoS')
  claim(qos <= 1, 'a delivery has a higher QoS than the subscription (MQTT 5 §3.8.4)')
  claim(version === 5 || Object.keys(properties).length === 0, 'an MQTT 3.1.1 delivery has properties')
  for (const [name, value] of Object.entries(properties) as [string, unknown][]) {
    const isGood =
      name === 'correlationData'
        ? Buffer.isBuffer(value)
        : name === 'userProperties'
          ? Array.isArray(value) && value.length % 2 === 0 && value.every((text) => typeof text === 'string')
          : name === 'contentType' || name === 'responseTopic'
            ? typeof value === 'string'
            : Number.isSafeInteger(value)
    claim(isGood, `property ${name} is ${String(value)}`)
  }
  if (isWhole && qos <= 1)
    checkRoundTrip({ topic, payload, qos: qos as 0 | 1, retain: delivery.retain, properties })
}

const roundTripWire = new Wire()
const roundTripWriter = new PacketWriter(roundTripWire)

// Encodes the decoded packet and decodes it again.
function checkRoundTrip(message: OutgoingMessage): void {
  roundTripWire.sent.length = 0
  encodePublish(roundTripWriter, message, 7, 0, 5)
  roundTripWriter.flush()
  const bytes = Buffer.concat(roundTripWire.sent)
  claim(
    bytes.length === publishPacketBytes(message, 5),
    'the size of a packet differs from `publishPacketBytes`',
  )
  const frames: Frame[] = []
  new FrameReader(
    (frame) => frames.push(frame),
    () => 1 << 24,
  ).push(bytes)
  claim(frames.length === 1, 'an encoded message is not exactly one packet')
  const { topic, payload, qos, retain, properties } = decodePublish(frames[0]!, 5)
  claim(
    isDeepStrictEqual(
      { topic, payload, qos, retain, properties: { ...properties } },
      { ...message, properties: { ...message.properties } },
    ),
    'a message changes when it is encoded and decoded',
  )
}

// Settles the deliveries from the last to the first. PUBACKs must be sent in the order of arrival
// (`strict`), or in the order in which the deliveries are settled (`as-settled`).
function checkAcknowledgements(
  connection: Connection,
  deliveries: readonly ReceivedDelivery[],
  wire: Wire,
  kind: AckOrderKind,
): void {
  if (wire.destroyed) return
  const received = deliveries.filter(({ qos }) => qos === 1).map(({ packetId }) => packetId)
  const expected = kind === 'strict' ? received : lastOfEachIdentifier(received)
  claim(connection.ackOrder.pending === expected.length, 'the number of unacknowledged deliveries is wrong')
  connection.writer.flush()
  const before = wire.sent.length
  for (const delivery of deliveries.toReversed()) delivery.settle()
  connection.writer.flush()
  const acks = Buffer.concat(wire.sent.slice(before))
  const sent = Array.from({ length: acks.length / 4 }, (_, index) => acks.readUInt16BE(4 * index + 2))
  claim(
    isDeepStrictEqual(sent, expected),
    `PUBACKs were sent for ${sent.join()} instead of ${expected.join()}`,
  )
  claim(connection.ackOrder.pending === 0, 'acknowledged deliveries count as unacknowledged')
}

// Orders the identifiers from the last to the first. Deliveries with the same identifier are acknowledged together,
// after all of them are settled.
function lastOfEachIdentifier(received: readonly number[]): number[] {
  return received
    .toReversed()
    .flatMap((id, index, all) =>
      all.includes(id, index + 1) ? [] : received.filter((other) => other === id),
    )
}
