// Tests the verdict with scripted histories: one violation of each rule about multi-part answers, shared calls and the
// order of PUBACKs.
import { describe, expect, test } from 'vitest'
import type { History, HistoryEvent, RunEvent } from './history.ts'
import type { PlannedRequest } from './scenario.ts'
import { judge } from './verdict.ts'

const CONNECTION = { connection: 1 }

type Timed = readonly [number, RunEvent]

function rulesBroken(ackHoldMaxMs: number, ...events: readonly Timed[]): string[] {
  return rulesBrokenWith({ ackHoldMaxMs }, ...events)
}

// The answers to the requests `b` and `d` are single messages; all other answers have two parts.
function rulesBrokenWith(given: Partial<History['limits']>, ...events: readonly Timed[]): string[] {
  const limits = {
    protocolVersion: 5,
    concurrency: 9,
    modelTimeoutMs: 9_000,
    ackHoldMaxMs: Infinity,
    duplicateWindowMs: 9_000,
    ...given,
  } as const
  const opening: HistoryEvent[] = [
    { atMs: 0, kind: 'process', process: 1, change: 'started' },
    { atMs: 0, kind: 'dialled', process: 1, connection: 1 },
    {
      atMs: 0,
      kind: 'connack',
      connection: 1,
      reasonCode: 0,
      sessionPresent: false,
      receiveMaximum: 99,
    },
  ]
  const history: History = {
    requests: new Map(['a', 'b', 'c', 'd'].map((key) => [key, requestOf(key)])),
    limits,
    events: [...opening, ...events.map(([atMs, event]) => ({ atMs, ...event }))],
  }
  return judge(history).map(({ rule }) => rule)
}

function requestOf(key: string): PlannedRequest {
  return {
    key,
    model: key === 'b' || key === 'd' ? 'batched' : 'm',
    atMs: [0],
    cancelAtMs: undefined,
    topic: `infer/request/cam1/m/infer/${key}`,
    qos: 1,
    retain: false,
    correlationData: key,
    responseTopic: undefined,
    expirySeconds: undefined,
    timeoutMs: undefined,
    payload: '',
    behaviour: { kind: 'stream', parts: 2, everyMs: 0, bytes: 0, end: 'answer' },
    replyCode: 0,
    replyTopic: `infer/reply/cam1/m/infer/${key}`,
  }
}

function delivery(packetId: number, key: string, dup = false): RunEvent {
  const message = key.charCodeAt(0)
  return {
    kind: 'delivery',
    ...CONNECTION,
    packetId,
    message,
    key,
    dup,
    isCancel: false,
    expirySeconds: undefined,
    qos: 1,
  }
}

function reply(packetId: number, key: string, seq?: number, isFinal = false): RunEvent {
  return {
    kind: 'publish',
    ...CONNECTION,
    packetId,
    dup: false,
    qos: 1,
    retain: false,
    topic: `infer/reply/cam1/m/infer/${key}`,
    correlation: key,
    status: seq === undefined || isFinal ? '200' : undefined,
    code: undefined,
    bodyKey: key,
    bodyCall: 1,
    bodyPart: isFinal ? undefined : seq,
    mark: seq === undefined ? undefined : { seq, isFinal, isError: false },
    content: isFinal ? 'end' : undefined,
  }
}

const taken = (packetId: number): RunEvent => ({
  kind: 'publish-ack',
  ...CONNECTION,
  packetId,
  reasonCode: 0,
})
const puback = (packetId: number): RunEvent => ({ kind: 'request-ack', ...CONNECTION, packetId })

const call = (key: string, number: number): RunEvent => ({ kind: 'call', process: 1, key, call: number })
const end = (key: string, number: number, outcome: string): RunEvent => ({
  kind: 'call-end',
  process: 1,
  key,
  call: number,
  outcome,
})

// Returns the rules that an answer breaks if its second part has these changes.
const answerWith = (changes: object): string[] =>
  rulesBroken(
    Infinity,
    [1, delivery(1, 'a')],
    [2, reply(1, 'a', 0)],
    [2, { ...reply(2, 'a', 1), ...changes } as RunEvent],
    [3, reply(3, 'a', 2, true)],
  )

describe('a PUBACK that overtakes an earlier delivery', () => {
  test.each([
    [Infinity, 100_000, ['D3']],
    [2000, 2000.9, ['D3']],
    [2000, 2001, []],
    [0, 1, []],
  ])(
    'if ackHoldMaxMs is %d and the PUBACK is sent at %d ms, breaks the rules %j',
    (ackHoldMaxMs, atMs, broken) => {
      const passing = [
        [1, delivery(1, 'a')],
        [atMs, delivery(2, 'b')],
        [atMs, reply(1, 'b')],
        [atMs, taken(1)],
        [atMs, puback(2)],
      ] as const
      expect(rulesBroken(ackHoldMaxMs, ...passing)).toEqual(broken)
    },
  )

  test('breaks the rule ack-wrap if an unanswered older delivery has the same identifier', () => {
    const round = [
      [1, delivery(1, 'a')],
      [2, delivery(1, 'b')],
      [3, reply(1, 'b')],
      [4, taken(1)],
    ] as const
    expect(rulesBroken(0, ...round, [5, puback(1)])).toEqual(['ack-wrap'])
    const both = [
      [5, reply(2, 'a')],
      [6, taken(2)],
      [7, puback(1)],
      [8, puback(1)],
    ] as const
    expect(rulesBroken(0, ...round, ...both)).toEqual([])
  })
})

describe('a multi-part answer', () => {
  const begun = [
    [1, delivery(1, 'a')],
    [2, reply(1, 'a', 0)],
    [2, reply(2, 'a', 1)],
  ] as const
  const ended = [...begun, [3, reply(3, 'a', 2, true)]] as const

  test('counts as a reply when the broker has acknowledged all of its messages', () => {
    expect(
      rulesBroken(Infinity, ...ended, [4, taken(1)], [4, taken(2)], [4, taken(3)], [5, puback(1)]),
    ).toEqual([])
  })

  test('does not count as a reply without its final message, or with an unacknowledged part', () => {
    expect(rulesBroken(Infinity, ...begun, [4, taken(1)], [4, taken(2)], [5, puback(1)])).toEqual(['D1'])
    expect(rulesBroken(Infinity, ...ended, [4, taken(1)], [4, taken(3)], [5, puback(1)])).toEqual(['D1'])
  })

  test('must be in order, and end with its final message', () => {
    const gap = [
      [1, delivery(1, 'a')],
      [2, reply(1, 'a', 1)],
      [3, reply(2, 'a', 2, true)],
    ] as const
    expect(rulesBroken(Infinity, ...gap)).toEqual(['part-order'])
    expect(rulesBroken(Infinity, ...ended, [4, reply(4, 'a', 3)])).toEqual(['part-after-final'])
  })

  test('must not begin for a request that this process received only as a redelivery', () => {
    expect(rulesBroken(Infinity, [1, delivery(1, 'a', true)], [2, reply(1, 'a', 0)])).toEqual([
      'stream-restart',
    ])
  })

  test('must consist of parts of one call, with the part numbers that the model gave', () => {
    expect(answerWith({})).toEqual([])
    expect(answerWith({ bodyPart: 2 })).toEqual(['part-content'])
    expect(answerWith({ bodyCall: 2 })).toEqual(['part-content'])
    expect(answerWith({ bodyKey: 'b' })).toEqual(['D4'])
  })

  test('must end with an error if it ends before the last part of the model', () => {
    expect(
      rulesBroken(Infinity, [1, delivery(1, 'a')], [2, reply(1, 'a', 0)], [3, reply(2, 'a', 1, true)]),
    ).toEqual(['part-content'])
  })
})

describe('a shared call', () => {
  const both = [
    [1, delivery(1, 'b')],
    [1, delivery(2, 'd')],
    [2, call('b', 1)],
    [2, call('d', 1)],
  ] as const

  test('counts as one call until the last of its requests has ended', () => {
    expect(rulesBrokenWith({ concurrency: 1 }, ...both)).toEqual([])
    const left = [3, end('b', 1, 'cancelled')] as const
    expect(rulesBrokenWith({ concurrency: 1 }, ...both, left, [4, call('b', 2)])).toEqual(['concurrency'])
    const over = [5, end('d', 1, 'ok')] as const
    expect(rulesBrokenWith({ concurrency: 1 }, ...both, left, over, [6, call('b', 2)])).toEqual([])
  })

  test('may be repeated for a cancelled request, but not for a running or answered request', () => {
    expect(rulesBrokenWith({}, ...both, [3, end('b', 1, 'cancelled')], [4, call('b', 2)])).toEqual([])
    expect(rulesBrokenWith({}, ...both, [4, call('d', 2)])).toEqual(['D5'])
    expect(rulesBrokenWith({}, ...both, [3, end('d', 1, 'ok')], [4, call('d', 2)])).toEqual(['D5'])
  })
})
