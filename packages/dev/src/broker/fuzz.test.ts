// Sends randomly changed packets of every type: the broker must keep running and serve other clients.
// An uncaught error anywhere in the process fails the run.
import { generate, type Packet } from 'mqtt-packet'
import { expect, test } from 'vitest'
import { startBroker } from './index.ts'
import { connectPacket, RawClient } from './testing/raw-client.ts'

const PACKETS = Number(process.env['FUZZ_PACKETS'] ?? 20_000)
const SEED = Number(process.env['FUZZ_SEED'] ?? 20_260_101)
const BATCH = 20
const TIME_MAX_MS = 20_000

const PROPERTIES = {
  responseTopic: 'fuzz/reply',
  correlationData: Buffer.from([0, 255]),
  contentType: 'a/b',
  messageExpiryInterval: 5,
  payloadFormatIndicator: true,
  userProperties: { a: ['1', '2'], b: '3' },
}
const WILL = {
  topic: 'fuzz/will',
  payload: Buffer.from('w'),
  qos: 1 as const,
  retain: true,
  properties: { willDelayInterval: 1, contentType: 'x' },
}
const publish = (qos: 0 | 1 | 2, topic: string): Packet => ({
  cmd: 'publish',
  topic,
  payload: 'payload',
  qos,
  messageId: 3,
  dup: false,
  retain: qos === 2,
  properties: PROPERTIES,
})
const connects: Packet[] = [
  connectPacket({
    clientId: 'fuzz',
    clean: false,
    properties: { sessionExpiryInterval: 5, receiveMaximum: 3 },
  }),
  connectPacket({ clientId: 'constructor', will: WILL, username: 'u', password: Buffer.from('p') }),
  connectPacket({ clientId: 'fuzz', protocolVersion: 4, clean: false, will: { ...WILL, properties: {} } }),
]
const packets: Packet[] = [
  publish(0, 'fuzz/a'),
  publish(1, 'fuzz/b/c'),
  publish(2, 'constructor'),
  { cmd: 'puback', messageId: 3, reasonCode: 0, properties: { reasonString: 'r' } },
  { cmd: 'pubrec', messageId: 3, reasonCode: 0 },
  { cmd: 'pubrel', messageId: 3, reasonCode: 0 },
  { cmd: 'pubcomp', messageId: 3, reasonCode: 0, properties: { userProperties: { a: 'b' } } },
  {
    cmd: 'subscribe',
    messageId: 4,
    properties: { subscriptionIdentifier: 7 },
    subscriptions: [
      { topic: 'fuzz/+/c', qos: 1, nl: true, rap: true, rh: 1 },
      { topic: 'toString', qos: 2, nl: false, rap: false, rh: 0 },
      { topic: '$share/g/fuzz/#', qos: 0, nl: false, rap: false, rh: 2 },
    ],
  },
  { cmd: 'unsubscribe', messageId: 5, unsubscriptions: ['fuzz/+/c', 'valueOf'] },
  { cmd: 'pingreq' },
  { cmd: 'disconnect', reasonCode: 4, properties: { sessionExpiryInterval: 3, reasonString: 'x' } },
  { cmd: 'auth', reasonCode: 0, properties: { authenticationMethod: 'm' } },
]

// MQTT 3.1.1 has no AUTH, but the bytes of the MQTT 5 packet are sent anyway.
function bytesOf(packet: Packet, version: number): Buffer {
  return generate(packet, { protocolVersion: packet.cmd === 'auth' ? 5 : version })
}

test(
  'keeps serving other clients after 20,000 randomly changed packets',
  { timeout: TIME_MAX_MS + 10_000 },
  async () => {
    const broker = await startBroker('embedded', { mqttPort: 0, wsPort: 0 })
    const random = seededRandom(SEED)
    const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)]!
    const witness = await RawClient.connect(broker.url, { clientId: 'witness' })
    await witness.subscribe('witness')
    const until = performance.now() + TIME_MAX_MS
    let sent = 0
    while (sent < PACKETS && performance.now() < until) {
      const client = await RawClient.open(broker.url)
      const connect = pick(connects)
      const version = connect.cmd === 'connect' && connect.protocolVersion === 4 ? 4 : 5
      const connectBytes = bytesOf(connect, version)
      client.send(random() < 0.1 ? mutate(connectBytes, random) : connectBytes)
      for (let index = 0; index < BATCH && !client.isClosed; index++) {
        const bytes = bytesOf(pick(packets), version)
        client.send(random() < 0.8 ? mutate(bytes, random) : bytes)
        sent += 1
        if (random() < 0.3) await new Promise((resolve) => setImmediate(resolve))
      }
      await client.destroy()
      if (sent % 1_000 < BATCH) {
        witness.send({
          cmd: 'publish',
          topic: 'witness',
          payload: `${sent}`,
          qos: 1,
          messageId: 9,
          dup: false,
          retain: false,
        })
        // eslint-disable-next-line vitest/no-conditional-expect -- checked during the whole run, not only at the end
        expect((await witness.next('publish')).payload.toString()).toBe(`${sent}`)
      }
    }
    expect(sent).toBeGreaterThan(PACKETS / 4)
    witness.send({
      cmd: 'publish',
      topic: 'witness',
      payload: 'end',
      qos: 1,
      messageId: 9,
      dup: false,
      retain: false,
    })
    expect((await witness.next('publish')).payload.toString()).toBe('end')
    await broker.close()
  },
)

// In half of the packets, corrects the Remaining Length, so that the broker also parses the content.
function mutate(original: Buffer, random: () => number): Buffer {
  const below = (limit: number): number => Math.floor(random() * limit)
  let bytes = Buffer.from(original)
  for (let change = below(3); change >= 0; change--) {
    const at = below(bytes.length)
    switch (below(6)) {
      case 0:
        bytes[at] = below(256)
        break
      case 1:
        bytes[at]! ^= 1 << below(8)
        break
      case 2:
        bytes = bytes.subarray(0, at)
        break
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([below(256)]), bytes.subarray(at)])
        break
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)])
        break
      default:
        bytes[at] = [0, 1, 127, 128, 255][below(5)]!
    }
    if (bytes.length < 2) return bytes
  }
  if (random() < 0.5 && bytes.length < 130) bytes[1] = bytes.length - 2
  return bytes
}

// mulberry32
function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
