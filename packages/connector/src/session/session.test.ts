// Runs a session against an in-memory broker. Tests its subscriptions when filters change, are refused or must be
// restored.
import { duplexPair, type Duplex } from 'node:stream'
import { generate, parser, type Packet } from 'mqtt-packet'
import { afterEach, expect, test } from 'vitest'
import { MqttSession } from './session.ts'
import { feed } from './testing/feed.ts'
import { BASE_OPTIONS } from './testing/scripted-broker.ts'
import type { SessionOptions, SessionWarning } from './session-options.ts'

const sessions: MqttSession[] = []
afterEach(async () => {
  for (const session of sessions.splice(0)) await session.close()
})

// A broker that keeps its session, and grants every filter that is not in its list of refused filters.
class Broker {
  readonly held = new Set<string>()
  readonly refused = new Map<string, number>()
  connections = 0
  receiveMaximum: number | undefined
  #theirs: Duplex | undefined
  #hasSession = false

  accept(): Duplex {
    const [ours, theirs] = duplexPair()
    const reader = parser({ protocolVersion: 5 })
    reader.on('packet', (packet) => this.#received(ours, packet as Packet))
    ours.on('data', (chunk: Buffer) => reader.parse(chunk))
    ours.on('error', () => {})
    ours.on('end', () => ours.end())
    this.#theirs = theirs
    return theirs
  }

  cut(): void {
    this.#theirs?.destroy()
  }

  #received(socket: Duplex, packet: Packet): void {
    if (packet.cmd === 'connect') {
      this.connections += 1
      this.receiveMaximum = packet.properties?.receiveMaximum
      send(socket, { cmd: 'connack', reasonCode: 0, sessionPresent: this.#hasSession })
      this.#hasSession = true
    } else if (packet.cmd === 'subscribe') {
      const granted = packet.subscriptions.map(({ topic }) => this.refused.get(topic) ?? 1)
      for (const [index, { topic }] of packet.subscriptions.entries())
        if (granted[index]! < 0x80) this.held.add(topic)
      send(socket, { cmd: 'suback', messageId: packet.messageId!, granted })
    } else if (packet.cmd === 'unsubscribe') {
      for (const topic of packet.unsubscriptions) this.held.delete(topic)
      const granted = packet.unsubscriptions.map(() => 0)
      send(socket, { cmd: 'unsuback', messageId: packet.messageId!, granted })
    } else if (packet.cmd === 'disconnect') {
      socket.end()
    }
  }
}

function send(socket: Duplex, packet: Packet): void {
  socket.write(generate(packet, { protocolVersion: 5 }))
}

async function arrange(options: Partial<SessionOptions> = {}, broker = new Broker()) {
  const warnings: SessionWarning[] = []
  const errors: string[] = []
  let reported: (() => void) | undefined
  const next = (): Promise<void> => new Promise((resolve) => (reported = resolve))
  const session = new MqttSession(
    {
      ...BASE_OPTIONS,
      url: 'mqtt://in.memory',
      tls: {},
      receiveMaximum: 65_535,
      reconnect: { minMs: 1, maxMs: 5 },
      filters: ['a', 'b'],
      ownFilters: ['own'],
      will: () => ({ topic: 'status', payload: 'offline' }),
      dial: () => {
        const stream = broker.accept()
        return Promise.resolve({
          stream,
          onBytes: (sink) => void stream.on('data', (bytes: Buffer) => feed(sink, bytes)),
        })
      },
      ...options,
    },
    {
      delivered: () => {},
      ready: () => reported?.(),
      unavailable: ({ error }) => {
        errors.push(error.message)
        reported?.()
      },
      warned: (warning) => void warnings.push(warning),
    },
  )
  sessions.push(session)
  const first = next()
  session.start()
  await first
  return { broker, session, warnings, errors, next }
}

test.each([
  ['bounded' as const, 65_535, 32_767],
  ['as-settled' as const, 65_535, 32_767],
  ['bounded' as const, 100, 100],
  ['strict' as const, 65_535, 65_535],
])(
  'with ack order %s and receiveMaximum %i, announces a Receive Maximum of %i',
  async (ackOrder, receiveMaximum, announced) => {
    const { broker } = await arrange({ ackOrder, receiveMaximum })
    expect(broker.receiveMaximum).toBe(announced)
  },
)

test('changes filters on the same connection, and restores them on the next connection', async () => {
  const { broker, session, next } = await arrange()
  expect([...broker.held]).toEqual(['a', 'b', 'own'])
  await session.setFilters(['b', 'c'])
  expect([...broker.held].toSorted()).toEqual(['b', 'c', 'own'])
  expect(broker.connections).toBe(1)
  const ended = next()
  broker.cut()
  await ended
  await session.setFilters(['d'])
  expect([...broker.held].toSorted()).toEqual(['d', 'own'])
  expect(broker.connections).toBe(2)
})

test('warns about a filter that is refused at run time, and stays connected', async () => {
  const { broker, session, warnings } = await arrange()
  broker.refused.set('c', 0x87)
  await expect(session.setFilters(['a', 'c'])).rejects.toThrow(
    'refused the subscription (not authorized, 0x87): "c"',
  )
  expect([...broker.held].toSorted()).toEqual(['a', 'own'])
  expect([session.isReady, broker.connections]).toEqual([true, 1])
  expect(warnings.map(({ event }) => event)).toEqual(['subscription_refused'])
})

test('does not become ready when an initial filter is refused', async () => {
  const broker = new Broker()
  broker.refused.set('b', 0x87)
  const { session, errors } = await arrange({}, broker)
  expect(session.isReady).toBe(false)
  expect(errors[0]).toContain('refused the subscription (not authorized, 0x87): "b"')
})

test('if a filter in ownFilters is refused, becomes ready and warns with the missing ACL line', async () => {
  const broker = new Broker()
  broker.refused.set('own', 0x87)
  const { session, warnings } = await arrange({}, broker)
  expect(session.isReady).toBe(true)
  expect(warnings).toHaveLength(1)
  expect(warnings[0]!.message).toContain('ACL: topic read own')
})

test('during a drain, unsubscribes from all shared filters', async () => {
  const { broker, session } = await arrange({ share: 'g' })
  expect([...broker.held]).toEqual(['$share/g/a', '$share/g/b', 'own'])
  await session.stopTaking()
  expect([...broker.held]).toEqual(['own'])
})
