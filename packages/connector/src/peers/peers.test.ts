import { TopicSpace, type ConnectorStatus } from '@inferwire/protocol'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Delivery } from '../step.ts'
import { createLog } from '../telemetry/index.ts'
import { Peers } from './peers.ts'

const BORN = 2_000

interface Line {
  readonly event: string
  readonly msg: string
  readonly models?: readonly string[]
  readonly modelCount?: number
  readonly leftOut?: number
}

let log: Line[]
let predecessors: ConnectorStatus[]
let left: (readonly string[])[]
let settled: number

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  log = []
  predecessors = []
  left = []
  settled = 0
})

afterEach(() => {
  vi.useRealTimers()
})

function peersOf(share?: string): Peers {
  const sink = {
    write: (line: string) => log.push(JSON.parse(line) as Line),
  }
  return new Peers({
    topics: new TopicSpace('infer'),
    name: 'edge',
    share,
    isOwn: (model) => model === 'iris',
    discovery: () => undefined,
    predecessor: (status) => predecessors.push(status),
    left: (models) => left.push(models),
    log: createLog({ level: 'debug', format: 'json' }, sink),
  })
}

function receive(peers: Peers, connector: string, payload: object | string, isWhole = true): void {
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload)
  const taken = peers.take({
    topic: `infer/status/${connector}`,
    payload: Buffer.from(isWhole ? text : ''),
    payloadBytes: text.length,
    isWhole,
    release: () => {},
    settle: () => (settled += 1),
  } as unknown as Delivery)
  expect(taken).toBe(true)
}

const status = (parts: object = {}): object => ({ contract: 1, state: 'online', timestamp: 1, ...parts })

function known(share?: string): Peers {
  const peers = peersOf(share)
  peers.subscribed(BORN)
  receive(peers, 'edge', status({ timestamp: BORN }))
  return peers
}

const codeOf = (peers: Peers, model: string): string | undefined => {
  const answering = peers.answering(model)
  return answering !== undefined && 'absent' in answering ? answering.absent.code : undefined
}
const events = (): string[] => log.map(({ event }) => event)

describe('a model that is not configured here', () => {
  test('is left to the peer that exposes it, whether or not the model is ready there', () => {
    const peers = known()
    receive(peers, 'b', status({ models: ['rose'], not_ready: ['late'] }))
    expect(peers.answering('rose')).toEqual({ peer: 'b' })
    expect(peers.answering('late')).toEqual({ peer: 'b' })
    expect(peers.answering('tulip')).toBeUndefined()
  })

  test("is reported as not ready while its peer is offline, until the peer's status is deleted", () => {
    const peers = known()
    receive(peers, 'b', status({ models: ['rose'], state: 'offline' }))
    expect(codeOf(peers, 'rose')).toBe('model_not_ready')
    receive(peers, 'b', '')
    expect(peers.answering('rose')).toBeUndefined()
  })

  test('is reported as not ready if a replica exposes it, because the replica did not receive the request', () => {
    const peers = known('group')
    receive(peers, 'b', status({ models: ['rose'], share: 'group' }))
    receive(peers, 'c', status({ models: ['tulip'], share: 'another' }))
    expect(codeOf(peers, 'rose')).toBe('model_not_ready')
    expect(peers.answering('tulip')).toEqual({ peer: 'c' })
  })

  test('is reported as unknown if only an offline replica exposes it', () => {
    const peers = known('group')
    receive(peers, 'b', status({ models: ['rose'], share: 'group', state: 'offline' }))
    expect(peers.answering('rose')).toBeUndefined()
  })

  test("is undecided until this connector's own status arrives, because the broker sends it after the peers' statuses", async () => {
    const peers = peersOf()
    peers.subscribed(BORN)
    const undecided = peers.answering('rose')
    if (undecided === undefined || !('until' in undecided)) throw new Error('It was decided.')
    receive(peers, 'b', status({ models: ['rose'] }))
    receive(peers, 'edge', status({ timestamp: BORN - 1 }))
    expect(peers.answering('rose')).toHaveProperty('until')
    receive(peers, 'edge', status({ timestamp: BORN }))
    await undecided.until
    expect(peers.answering('rose')).toEqual({ peer: 'b' })
  })

  test('counts as unknown after a timeout, with one warning, if the broker sends no statuses', () => {
    const peers = peersOf()
    for (const birth of [BORN, BORN + 1]) {
      peers.subscribed(birth)
      vi.advanceTimersByTime(999)
      expect(peers.answering('rose')).toHaveProperty('until')
      vi.advanceTimersByTime(1)
      expect(peers.answering('rose')).toBeUndefined()
      peers.disconnected()
    }
    expect(events()).toEqual(['peers_unknown'])
    expect(log[0]!.msg).toContain('read access to "infer/status/#"')
  })

  test('is reported with a problem that does not name the absent peer', () => {
    const peers = known()
    receive(peers, 'hq-secret-line', status({ models: ['rose'], state: 'offline' }))
    const answering = peers.answering('rose')
    if (answering === undefined || !('absent' in answering)) throw new Error('It is not absent.')
    expect(answering.absent.message).toBe(
      'Model "rose" is not ready: the connector that exposes it is offline.',
    )
    expect(answering.absent.detail).toContain('hq-secret-line')
  })
})

test('reports the models that a peer no longer exposes, unless the peer is a replica', () => {
  const peers = known('group')
  receive(peers, 'b', status({ models: ['rose', 'iris'], not_ready: ['late'] }))
  receive(peers, 'b', status({ models: ['rose'], not_ready: ['late'] }))
  receive(peers, 'b', status({ models: ['rose'], not_ready: ['late'], state: 'draining' }))
  expect(left).toEqual([['iris']])
  for (let count = 0; count < 2; count += 1) receive(peers, 'b', status({ models: [], state: 'offline' }))
  expect(left).toEqual([['iris'], ['rose', 'late']])
  receive(peers, 'b', '')
  receive(peers, 'c', status({ models: ['tulip'] }))
  receive(peers, 'c', '')
  receive(peers, 'd', status({ models: ['rose'], share: 'group' }))
  receive(peers, 'd', status({ models: ['rose'], share: 'group', state: 'offline' }))
  expect(left.slice(2)).toEqual([['tulip']])
})

function two(): Peers {
  const peers = known()
  receive(peers, 'b', status({ models: ['rose'] }))
  receive(peers, 'c', status({ models: ['tulip'] }))
  peers.disconnected()
  return peers
}

describe('on the next connection', () => {
  test("removes a peer whose status has not arrived before this connector's status", () => {
    const peers = two()
    // This status arrives before the SUBACK.
    receive(peers, 'c', status({ models: ['tulip'] }))
    peers.subscribed(BORN + 5)
    expect(peers.answering('rose')).toHaveProperty('until')
    receive(peers, 'edge', status({ timestamp: BORN + 5 }))
    expect(peers.answering('rose')).toBeUndefined()
    expect(peers.answering('tulip')).toEqual({ peer: 'c' })
    expect(events()).toEqual(['peer_found', 'peer_found', 'peer_gone'])
    expect(predecessors).toEqual([])
  })

  test("keeps an absent peer after the timeout, and removes it when this connector's status arrives late", () => {
    const peers = two()
    peers.subscribed(BORN + 5)
    vi.advanceTimersByTime(1_000)
    expect(peers.answering('rose')).toEqual({ peer: 'b' })
    receive(peers, 'edge', status({ timestamp: BORN }))
    expect(peers.answering('rose')).toEqual({ peer: 'b' })
    for (let count = 0; count < 2; count += 1) receive(peers, 'edge', status({ timestamp: BORN + 5 }))
    expect(peers.answering('rose')).toBeUndefined()
    expect(events().filter((event) => event.startsWith('peers'))).toEqual(['peers_unknown', 'peers_known'])
  })

  test('ignores failed connection attempts before that connection', () => {
    const peers = two()
    peers.disconnected()
    peers.disconnected()
    receive(peers, 'b', status({ models: ['rose'] }))
    receive(peers, 'c', '{')
    peers.subscribed(BORN + 5)
    receive(peers, 'edge', status({ timestamp: BORN + 5 }))
    // A status that has become unreadable still exists.
    expect(peers.answering('rose')).toEqual({ peer: 'b' })
    expect(peers.answering('tulip')).toEqual({ peer: 'c' })
  })

  test('routes a waiting request when the statuses have arrived again', async () => {
    const peers = two()
    const waiting = peers.answering('rose')
    if (waiting === undefined || !('until' in waiting)) throw new Error('It was decided.')
    peers.disconnected()
    peers.subscribed(BORN + 5)
    receive(peers, 'edge', status({ timestamp: BORN + 5 }))
    await waiting.until
    expect(peers.answering('rose')).toBeUndefined()
  })
})

test('passes on the status of a predecessor exactly once, when the peers are known', () => {
  const peers = peersOf()
  receive(peers, 'edge', status({ timestamp: 1_500, models: ['iris', 'gone'], state: 'offline' }))
  peers.subscribed(BORN)
  expect(predecessors).toEqual([])
  receive(peers, 'edge', status({ timestamp: BORN }))
  receive(peers, 'edge', status({ timestamp: 1_700 }))
  expect(predecessors).toMatchObject([{ timestamp: 1_500, models: ['iris', 'gone'] }])
})

test('passes on the status of a predecessor that arrives after the timeout', () => {
  const peers = peersOf()
  peers.subscribed(BORN)
  vi.advanceTimersByTime(1_000)
  receive(peers, 'edge', status({ timestamp: 9_000, models: ['gone'] }))
  receive(peers, 'edge', status({ timestamp: 9_500 }))
  expect(predecessors).toMatchObject([{ timestamp: 9_000, models: ['gone'] }])
})

test.each([
  [Date.UTC(2099, 11, 31), true],
  [Date.UTC(2100, 5), false],
  [8.64e15, false],
])("decides whether to pass on a predecessor's status with the timestamp %i: %j", (timestamp, isFollowed) => {
  const peers = peersOf()
  receive(peers, 'edge', status({ timestamp }))
  peers.subscribed(BORN)
  receive(peers, 'edge', status({ timestamp: BORN }))
  expect(predecessors).toHaveLength(isFollowed ? 1 : 0)
  // The limit applies only to predecessors: another connector's status may have a later birth time.
  receive(peers, 'b', status({ models: ['rose'], timestamp: Date.UTC(2100, 0) + 1_000 }))
  expect(peers.answering('rose')).toEqual({ peer: 'b' })
})

describe('the log', () => {
  const many = Array.from({ length: 40 }, (_, index) => `m${index}`)

  test('lists only ten model names of a peer, and their total number', () => {
    receive(known(), 'b', status({ models: ['iris', ...many] }))
    expect(log[0]!.models).toHaveLength(10)
    expect(log[0]!.modelCount).toBe(41)
    expect(log[0]!.msg).toContain('41 models (iris, m0')
    expect(log[0]!.msg.length).toBeLessThan(300)
  })

  test("limits the lines about a peer that keeps changing; the next line contains the peer's latest state", () => {
    const peers = known()
    for (let count = 0; count < 50; count += 1) receive(peers, 'b', status({ models: [`m${count}`] }))
    receive(peers, 'c', status({ models: ['rose'] }))
    expect(log).toHaveLength(6)
    vi.advanceTimersByTime(60_000)
    receive(peers, 'b', status({ models: ['m49'] }))
    expect(log.at(-1)).toMatchObject({ event: 'peer_found', models: ['m49'], leftOut: 45 })
    receive(peers, 'b', status({ models: ['m49'] }))
    expect(log).toHaveLength(7)
  })

  test('limits the lines about unreadable and deleted statuses, even if there are more connector names than it remembers', () => {
    const peers = known()
    for (let count = 0; count < 50; count += 1) receive(peers, 'b', '{')
    expect(events()).toEqual(Array.from({ length: 5 }, () => 'status_unreadable'))
    for (let count = 0; count < 2_000; count += 1) {
      for (let turn = 0; turn < 3; turn += 1) receive(peers, `x${count}`, '{')
    }
    expect(log.length).toBeLessThan(3 * 1_000 + 20)
  })

  test('contains a single line about all peers beyond the limit', () => {
    const peers = known()
    for (let count = 0; count < 1_050; count += 1)
      receive(peers, `p${count}`, status({ models: [`m${count}`] }))
    expect(events().filter((event) => event === 'peers_too_many')).toHaveLength(1)
    expect(peers.answering('m999')).toEqual({ peer: 'p999' })
    expect(peers.answering('m1000')).toBeUndefined()
  })
})

test('ignores a status above 64 KiB, and logs that once', () => {
  const peers = known()
  const models = Array.from({ length: 4_000 }, (_, index) => `a-model-with-number-${index}`)
  for (const connector of ['b', 'b', 'c']) receive(peers, connector, status({ models }))
  expect(events()).toEqual(['status_too_large'])
  expect(log[0]!.msg).toContain('infer/status/b')
  expect(peers.answering(models[0]!)).toBeUndefined()
})

test("does not accept a message on a topic that cannot be a connector's status topic", () => {
  const message = { topic: 'infer/status/a\u001bb', payload: Buffer.alloc(0), payloadBytes: 0 }
  expect(peersOf().take(message as unknown as Delivery)).toBe(false)
})

test('logs a peer that is found, changes or is deleted, and warns about a model that both connectors expose', () => {
  const peers = known()
  receive(peers, 'b', status({ models: ['rose', 'iris'] }))
  receive(peers, 'b', status({ models: ['rose', 'iris'], timestamp: 7 }))
  expect(events()).toEqual(['peer_found', 'model_exposed_twice'])
  expect(log[1]!.msg).toContain('exposes iris, as this connector does')
  receive(peers, 'b', status({ models: ['rose', 'iris'], state: 'offline' }))
  expect(events().at(-1)).toBe('peer_offline')
})

test("does not log a replica, which exposes this connector's models on purpose", () => {
  receive(known('group'), 'b', status({ models: ['iris'], share: 'group' }))
  expect(events()).toEqual([])
})

test.each([
  ['invalid JSON', '{'],
  ['an array', '[]'],
  ['no state', '{"timestamp":1}'],
  ['a state that does not exist', '{"state":"gone","timestamp":1}'],
  ['an invalid timestamp', '{"state":"online","timestamp":1e300}'],
])('ignores, settles and logs a status with %s', (_, payload) => {
  const peers = known()
  receive(peers, 'b', payload)
  expect(events()).toEqual(['status_unreadable'])
  expect(settled).toBe(2)
  expect(peers.answering('rose')).toBeUndefined()
})

test('skips invalid model names, and ignores a status that is too large to be received', () => {
  const peers = known()
  receive(peers, 'b', status({ models: ['rose', 7, 'a/b', null], not_ready: 'x' }))
  expect(peers.answering('rose')).toEqual({ peer: 'b' })
  receive(peers, 'b', status({ models: [] }), false)
  expect(peers.answering('rose')).toEqual({ peer: 'b' })
  expect(peers.exposes('a/b')).toBe(false)
})
