import { PassThrough, Writable, type Duplex } from 'node:stream'
import { parser, type IPublishPacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import type { PublishResult } from '../step.ts'
import { Outbox, type OutboxLink } from './outbox.ts'
import { PacketWriter } from './packet-writer.ts'
import type { OutgoingMessage } from './publish-encoder.ts'

function message(topic: string, payloadBytes = 1): OutgoingMessage {
  return { topic, payload: Buffer.alloc(payloadBytes), qos: 1, retain: false, properties: {} }
}

function connection(limits: Partial<OutboxLink> = {}) {
  const sink = new PassThrough()
  const writer = new PacketWriter(sink)
  const sent: IPublishPacket[] = []
  const reader = parser({ protocolVersion: 5 })
  reader.on('packet', (packet) => sent.push(packet as IPublishPacket))
  sink.on('data', (chunk: Buffer) => reader.parse(chunk))
  const link: OutboxLink = {
    writer,
    protocolVersion: 5,
    maximumPacketSize: 0xffff_ffff,
    receiveMaximum: 65_535,
    maximumQoS: 2,
    retainAvailable: true,
    ...limits,
  }
  const flush = async (): Promise<IPublishPacket[]> => {
    writer.flush()
    await new Promise((resolve) => setImmediate(resolve))
    return sent.splice(0)
  }
  return { link, flush }
}

test('completes a publish with the reason code of its PUBACK', async () => {
  const outbox = new Outbox()
  const { link, flush } = connection()
  outbox.connected(link, false)
  const results: PublishResult[] = []
  outbox.publish(message('a'), (result) => results.push(result))
  outbox.publish(message('b'), (result) => results.push(result))
  const [first, second] = await flush()
  expect(results).toEqual([])
  outbox.acknowledged(second!.messageId!, 0x87)
  outbox.acknowledged(first!.messageId!, 0x10)
  expect(results).toEqual([
    { kind: 'refused', reasonCode: 0x87 },
    { kind: 'acknowledged', reasonCode: 0x10 },
  ])
  expect(outbox.acknowledged(first!.messageId!, 0)).toBe(false)
})

test('on a resumed session, resends no more publishes at a time than the new Receive Maximum allows', async () => {
  const outbox = new Outbox()
  const before = connection({ receiveMaximum: 10 })
  outbox.connected(before.link, false)
  const done: string[] = []
  for (const topic of ['a', 'b', 'c', 'd']) outbox.publish(message(topic), () => done.push(topic))
  await before.flush()
  outbox.disconnected()
  const after = connection({ receiveMaximum: 2 })
  outbox.connected(after.link, true)
  outbox.publish(message('e'), () => done.push('e'))
  const seen: [string, boolean][] = []
  for (let turn = 0; turn < 5; turn++) {
    const sent = await after.flush()
    expect(sent.length).toBeLessThanOrEqual(2)
    for (const { topic, dup, messageId } of sent) {
      seen.push([topic, dup])
      outbox.acknowledged(messageId!, 0)
    }
  }
  expect(seen).toEqual([
    ['a', true],
    ['b', true],
    ['c', true],
    ['d', true],
    ['e', false],
  ])
  expect(done).toEqual(['a', 'b', 'c', 'd', 'e'])
})

test.each([
  ['with the session present', true],
  ['without the session', false],
])(
  'keeps the parts of an answer in order across reconnects with a smaller Receive Maximum: %s',
  async (_what, isPresent) => {
    const outbox = new Outbox()
    const before = connection({ receiveMaximum: 6 })
    outbox.connected(before.link, false)
    const topics = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i']
    for (const topic of topics.slice(0, 8)) outbox.publish(message(topic), () => {})
    const [first] = await before.flush()
    outbox.acknowledged(first!.messageId!, 0)
    outbox.disconnected()
    // The connection ends again before all old messages are resent.
    const between = connection({ receiveMaximum: 3 })
    outbox.connected(between.link, isPresent)
    const [second] = await between.flush()
    outbox.acknowledged(second!.messageId!, 0)
    outbox.disconnected()
    const after = connection({ receiveMaximum: 2 })
    outbox.connected(after.link, isPresent)
    outbox.publish(message('i'), () => {})
    const seen: string[] = []
    for (let sent = await after.flush(); sent.length > 0; sent = await after.flush()) {
      seen.push(...sent.map(({ topic }) => topic))
      for (const { messageId } of sent) outbox.acknowledged(messageId!, 0)
    }
    expect([first!.topic, second!.topic, ...seen]).toEqual(topics)
    expect(outbox.pending).toBe(0)
  },
)

test('resends in the original order, even if the identifiers of the publishes are in a different order', async () => {
  const outbox = new Outbox()
  const before = connection()
  outbox.connected(before.link, false)
  outbox.publish(message('answered'), () => {})
  outbox.publish(message('old'), () => {})
  const [answered] = await before.flush()
  outbox.acknowledged(answered!.messageId!, 0)
  // These publishes use all 65,534 identifiers once.
  for (let count = 0; count < 65_533; count++) {
    outbox.publish(message('t'), () => {})
    if (count % 5_000 !== 0 && count < 65_531) continue
    for (const { messageId, topic } of await before.flush())
      if (topic === 't' && messageId! > 2) outbox.acknowledged(messageId!, 0)
  }
  outbox.publish(message('new'), () => {})
  await before.flush()
  outbox.disconnected()
  const after = connection()
  outbox.connected(after.link, true)
  expect((await after.flush()).map(({ topic, messageId }) => [topic, messageId])).toEqual([
    ['old', 2],
    ['t', 1],
    ['new', 3],
  ])
})

test("keeps at most as many publishes in flight as the broker's Receive Maximum allows", async () => {
  const outbox = new Outbox()
  const { link, flush } = connection({ receiveMaximum: 2 })
  outbox.connected(link, false)
  for (const topic of ['a', 'b', 'c', 'd']) outbox.publish(message(topic), () => {})
  const first = await flush()
  expect(first.map(({ topic }) => topic)).toEqual(['a', 'b'])
  outbox.acknowledged(first[0]!.messageId!, 0)
  expect((await flush()).map(({ topic }) => topic)).toEqual(['c'])
  expect(outbox.pending).toBe(3)
})

test('on a resumed session, resends with DUP and the same identifier, before new messages', async () => {
  const outbox = new Outbox()
  const before = connection()
  outbox.connected(before.link, false)
  outbox.publish(message('old'), () => {})
  const [old] = await before.flush()
  outbox.disconnected()
  outbox.publish(message('new'), () => {})
  const after = connection()
  outbox.connected(after.link, true)
  const sent = await after.flush()
  expect(sent.map(({ topic, dup }) => [topic, dup])).toEqual([
    ['old', true],
    ['new', false],
  ])
  expect(sent[0]!.messageId).toBe(old!.messageId)
})

test('on a new session, sends unacknowledged messages first, as new messages', async () => {
  const outbox = new Outbox()
  const before = connection()
  outbox.connected(before.link, false)
  outbox.publish(message('old'), () => {})
  await before.flush()
  outbox.disconnected()
  outbox.publish(message('new'), () => {})
  const after = connection({ receiveMaximum: 1 })
  outbox.connected(after.link, false)
  expect((await after.flush()).map(({ topic, dup }) => [topic, dup])).toEqual([['old', false]])
})

test("does not send a message above the broker's Maximum Packet Size", async () => {
  const outbox = new Outbox()
  const { link, flush } = connection({ maximumPacketSize: 100 })
  outbox.connected(link, false)
  const results: PublishResult[] = []
  outbox.publish(message('a', 200), (result) => results.push(result))
  outbox.publish(message('b', 20), (result) => results.push(result))
  expect((await flush()).map(({ topic }) => topic)).toEqual(['b'])
  expect(results).toMatchObject([{ kind: 'too-large', packetBytesMax: 100 }])
})

test('assigns unique identifiers while 65,534 are in flight, and wraps around', async () => {
  const outbox = new Outbox()
  const { link, flush } = connection()
  outbox.connected(link, false)
  for (let count = 0; count < 65_540; count++) outbox.publish(message('t'), () => {})
  const sent = await flush()
  expect(new Set(sent.map(({ messageId }) => messageId)).size).toBe(65_534)
  outbox.acknowledged(123, 0)
  expect((await flush()).map(({ messageId }) => messageId)).toEqual([123])
})

test('on close, reports all pending messages as closed', async () => {
  const outbox = new Outbox()
  const results: PublishResult[] = []
  outbox.publish(message('a'), (result) => results.push(result))
  outbox.close()
  expect(results).toEqual([{ kind: 'closed' }])
})

test('gives up a publish after five short connections in a row, and reports it as undeliverable', async () => {
  const outbox = new Outbox()
  const results: PublishResult[] = []
  outbox.connected(connection().link, false)
  outbox.publish(message('poison'), (result) => results.push(result))
  for (let losses = 1; losses < 5; losses++) {
    outbox.disconnected()
    expect(results).toEqual([])
    outbox.connected(connection().link, true)
  }
  outbox.disconnected()
  expect(results).toEqual([{ kind: 'undeliverable' }])
  const { link, flush } = connection()
  outbox.connected(link, true)
  expect(await flush()).toEqual([])
})

test('delivers all other publishes while the broker hangs up on one publish', async () => {
  const outbox = new Outbox()
  const results = new Map<string, PublishResult['kind']>()
  for (let index = 0; index < 40; index++) {
    const topic = index === 20 ? 'offending' : `harmless ${index}`
    outbox.publish(message(topic), ({ kind }) => results.set(topic, kind))
  }
  let connections = 0
  for (; outbox.pending > 0 && connections < 50; connections++) {
    const { link, flush } = connection()
    outbox.connected(link, connections > 0)
    let sent = await flush()
    while (sent.length > 0 && !sent.some(({ topic }) => topic === 'offending')) {
      for (const { messageId } of sent) outbox.acknowledged(messageId!, 0)
      sent = await flush()
    }
    outbox.disconnected()
  }
  expect(results.get('offending')).toBe('undeliverable')
  expect([...results.values()].filter((kind) => kind === 'acknowledged')).toHaveLength(39)
  expect(connections).toBeLessThan(20)
})

test('does not publish a reply again after the broker hung up on the same reply', async () => {
  const outbox = new Outbox()
  const results: PublishResult['kind'][] = []
  let connections = 0
  // On each new connection the request is redelivered, and its reply is published again.
  for (; connections < 20 && results.length === 0; connections++) {
    outbox.connected(connection().link, connections > 0)
    outbox.publish(message('offending', 900), ({ kind }) => results.push(kind))
    outbox.disconnected()
  }
  expect(connections).toBeLessThan(10)
  const { link, flush } = connection()
  outbox.connected(link, true)
  outbox.publish(message('offending', 10), () => {})
  expect((await flush()).map(({ topic, payload }) => [topic, payload.length])).toEqual([['offending', 10]])
  expect(results).toEqual(Array.from({ length: connections }, () => 'undeliverable'))
})

test('publishes nothing after close', () => {
  const outbox = new Outbox()
  outbox.close()
  const results: PublishResult[] = []
  outbox.publish(message('late'), (result) => results.push(result))
  expect(results).toEqual([{ kind: 'closed' }])
  expect(outbox.pending).toBe(0)
})

test('checks a resent message against the limit of the new connection', async () => {
  const outbox = new Outbox()
  const results: PublishResult[] = []
  outbox.connected(connection().link, false)
  outbox.publish(message('a', 500), (result) => results.push(result))
  outbox.disconnected()
  const { link, flush } = connection({ maximumPacketSize: 100 })
  outbox.connected(link, true)
  expect(await flush()).toEqual([])
  expect(results).toMatchObject([{ kind: 'too-large' }])
})

// A socket whose peer reads only when `read` is called.
function slowConnection() {
  const accept: (() => void)[] = []
  const socket = new Writable({ write: (_chunk, _encoding, accepted) => void accept.push(accepted) })
  const writer = new PacketWriter(socket as Duplex)
  return { link: { ...connection().link, writer }, writer, socket, read: () => accept.shift()?.() }
}
const qos0 = (topic: string): OutgoingMessage => ({ ...message(topic), qos: 0 })

describe('QoS 0', () => {
  test('completes a publish when the socket has accepted it', async () => {
    const outbox = new Outbox()
    const { link, writer, read } = slowConnection()
    outbox.connected(link, false)
    const done: string[] = []
    outbox.publish(qos0('a'), ({ kind }) => done.push(`a ${kind}`))
    writer.flush()
    outbox.publish(qos0('b'), ({ kind }) => done.push(`b ${kind}`))
    writer.flush()
    await new Promise(setImmediate)
    expect(done).toEqual([])
    read()
    await new Promise(setImmediate)
    expect(done).toEqual(['a acknowledged'])
    read()
    await new Promise(setImmediate)
    expect(done).toEqual(['a acknowledged', 'b acknowledged'])
  })

  test('completes a publish exactly once, whether its connection ends later or has already ended', async () => {
    const outbox = new Outbox()
    const { link, writer, socket } = slowConnection()
    outbox.connected(link, false)
    const done: string[] = []
    outbox.publish(qos0('a'), ({ kind }) => done.push(`a ${kind}`))
    writer.flush()
    socket.destroy()
    await new Promise(setImmediate)
    outbox.publish(qos0('b'), ({ kind }) => done.push(`b ${kind}`))
    writer.flush()
    outbox.disconnected()
    expect(done.toSorted()).toEqual(['a acknowledged', 'b acknowledged'])
  })

  test('when the outbox is closed, reports `closed` for a publish that the socket has not accepted', () => {
    const outbox = new Outbox()
    const { link } = slowConnection()
    outbox.connected(link, false)
    const done: string[] = []
    outbox.publish(qos0('a'), ({ kind }) => done.push(kind))
    outbox.close()
    expect(done).toEqual(['closed'])
  })
})
