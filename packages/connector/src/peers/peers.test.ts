import { Problem, TopicSpace, type ConnectorStatus } from '@inferwire/protocol'
import { beforeEach, describe, expect, test } from 'vitest'
import type { Delivery } from '../step.ts'
import { createLog } from '../telemetry/index.ts'
import { Peers } from './peers.ts'

const BORN = 2_000

let log: { event: string; msg: string }[]
let predecessors: ConnectorStatus[]
let settled: number

beforeEach(() => {
  log = []
  predecessors = []
  settled = 0
})

function peersOf(share?: string): Peers {
  const sink = {
    write: (line: string) => log.push(JSON.parse(line) as { event: string; msg: string }),
  }
  return new Peers({
    topics: new TopicSpace('infer'),
    name: 'edge',
    share,
    isOwn: (model) => model === 'iris',
    predecessor: (status) => predecessors.push(status),
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

const codeOf = (peers: Peers, model: string): unknown => {
  try {
    return peers.answering(model)
  } catch (error) {
    return (error as Problem).code
  }
}
const events = (): string[] => log.map(({ event }) => event)

describe('a model that is not configured here', () => {
  test('is left to the peer that exposes it, or will when its server is reached', () => {
    const peers = known()
    receive(peers, 'b', status({ models: ['rose'], not_ready: ['late'] }))
    expect(peers.answering('rose')).toEqual({ peer: 'b' })
    expect(peers.answering('late')).toEqual({ peer: 'b' })
    expect(peers.answering('tulip')).toBeUndefined()
  })

  test('of a peer that is offline is not ready, until its status is deleted', () => {
    const peers = known()
    receive(peers, 'b', status({ models: ['rose'], state: 'offline' }))
    expect(codeOf(peers, 'rose')).toBe('model_not_ready')
    receive(peers, 'b', '')
    expect(peers.answering('rose')).toBeUndefined()
  })

  test('of a replica, which did not get the request, is not ready', () => {
    const peers = known('group')
    receive(peers, 'b', status({ models: ['rose'], share: 'group' }))
    receive(peers, 'c', status({ models: ['tulip'], share: 'another' }))
    expect(codeOf(peers, 'rose')).toBe('model_not_ready')
    expect(peers.answering('tulip')).toEqual({ peer: 'c' })
  })

  test('of a replica that ended for good does not exist', () => {
    const peers = known('group')
    receive(peers, 'b', status({ models: ['rose'], share: 'group', state: 'offline' }))
    expect(peers.answering('rose')).toBeUndefined()
  })

  test('is undecided until the own status comes back, behind those of the peers', async () => {
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

  test('is decided after a while on a broker that sends no statuses', async () => {
    const peers = peersOf()
    peers.subscribed(BORN)
    await expect.poll(() => peers.answering('rose'), { timeout: 3_000 }).toBeUndefined()
  })
})

test('the status that a predecessor left is handed on once, when the peers are known', () => {
  const peers = peersOf()
  receive(peers, 'edge', status({ timestamp: 1_500, models: ['iris', 'gone'], state: 'offline' }))
  peers.subscribed(BORN)
  expect(predecessors).toEqual([])
  receive(peers, 'edge', status({ timestamp: BORN }))
  receive(peers, 'edge', status({ timestamp: 1_700 }))
  expect(predecessors).toMatchObject([{ timestamp: 1_500, models: ['iris', 'gone'] }])
})

test('a peer is logged when it is found, changes or goes, and what both expose is a warning', () => {
  const peers = known()
  receive(peers, 'b', status({ models: ['rose', 'iris'] }))
  receive(peers, 'b', status({ models: ['rose', 'iris'], timestamp: 7 }))
  expect(events()).toEqual(['peer_found', 'model_exposed_twice'])
  expect(log[1]!.msg).toContain('exposes iris too')
  receive(peers, 'b', status({ models: ['rose', 'iris'], state: 'offline' }))
  expect(events().at(-1)).toBe('peer_offline')
})

test('a replica is not logged: it is meant to expose the same models', () => {
  receive(known('group'), 'b', status({ models: ['iris'], share: 'group' }))
  expect(events()).toEqual([])
})

test.each([
  ['no JSON', '{'],
  ['no object', '[]'],
  ['no state', '{"timestamp":1}'],
  ['a state that does not exist', '{"state":"gone","timestamp":1}'],
  ['a time that is none', '{"state":"online","timestamp":1e300}'],
])('a status with %s is ignored, settled and logged', (_, payload) => {
  const peers = known()
  receive(peers, 'b', payload)
  expect(events()).toEqual(['status_unreadable'])
  expect(settled).toBe(2)
  expect(peers.answering('rose')).toBeUndefined()
})

test('names that cannot be models are left out, and a status too large to be received is ignored', () => {
  const peers = known()
  receive(peers, 'b', status({ models: ['rose', 7, 'a/b', null], not_ready: 'x' }))
  expect(peers.answering('rose')).toEqual({ peer: 'b' })
  receive(peers, 'b', status({ models: [] }), false)
  expect(peers.answering('rose')).toEqual({ peer: 'b' })
  expect(peers.exposes('a/b')).toBe(false)
})
