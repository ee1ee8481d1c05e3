// Tests the tap with scripted packet sequences. Each packet is checked as if it came from the network.
import mqttPacket, { type Packet } from 'mqtt-packet'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { TapLog } from './tap.ts'
import type { TapRules, Violation } from './tap-checker.ts'

const RULES = {
  requestRoots: ['infer/request/'],
  replyRoots: ['infer/reply/'],
  ownTopics: ['infer/status/one', 'dead/'],
  ackHoldMaxMs: Infinity,
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

type Said = readonly ['broker' | 'connector', Packet] | readonly ['time', number]

function publish(topic: string, messageId: number, correlation: string, properties = {}): Packet {
  const correlationData = Buffer.from(correlation)
  return {
    cmd: 'publish',
    topic,
    messageId,
    qos: 1,
    dup: false,
    retain: false,
    payload: 'x',
    properties: { correlationData, ...properties },
  }
}
const request = (id: number, correlation: string, properties = {}): Said => [
  'broker',
  publish('infer/request/a/m', id, correlation, properties),
]
const reply = (id: number, correlation: string, topic = 'infer/reply/a/m'): Said => [
  'connector',
  publish(topic, id, correlation),
]
const part = (id: number, correlation: string, seq: string | number, more = {}): Said => {
  const userProperties = { seq: String(seq), ...more }
  return ['connector', publish('infer/reply/a/m', id, correlation, { userProperties })]
}
const final = (id: number, correlation: string, seq: number, payload = 'end', status = '200'): Said => {
  const [, packet] = part(id, correlation, seq, { final: 'true', status })
  return ['connector', { ...(packet as Packet), payload } as Packet]
}
const puback = (who: 'broker' | 'connector', messageId: number): Said => [who, { cmd: 'puback', messageId }]
const connack = (properties = {}): Said => [
  'broker',
  { cmd: 'connack', sessionPresent: false, reasonCode: 0, properties } as Packet,
]

function violationsIn(...connections: readonly Said[][]): string[] {
  return violationsUnder(RULES, ...connections)
}

// Each connection is a list of packets. The bytes arrive three at a time, which is the hardest case for a parser.
function violationsUnder(rules: TapRules, ...connections: readonly Said[][]): string[] {
  const log = new TapLog(rules)
  for (const connection of connections) {
    const checker = log.nextChecker()
    for (const [who, packet] of connection) {
      if (who === 'time') {
        vi.advanceTimersByTime(packet)
        continue
      }
      const bytes = mqttPacket.generate(packet, { protocolVersion: 5 })
      for (let at = 0; at < bytes.length; at += 3) {
        if (who === 'broker') checker.fromServer(bytes.subarray(at, at + 3))
        else checker.fromClient(bytes.subarray(at, at + 3))
      }
    }
  }
  return log.violations.map(({ rule }: Violation) => rule)
}

test('the tap accepts a reply, its PUBACK, and then the PUBACK of the request', () => {
  const good = [request(1, 'k'), reply(9, 'k'), puback('broker', 9), puback('connector', 1)]
  expect(violationsIn([connack(), ...good])).toEqual([])
})

test('the tap reports a request that is acknowledged before its reply is sent, or before that reply is acknowledged', () => {
  expect(violationsIn([connack(), request(1, 'k'), puback('connector', 1)])).toEqual(['ack-before-reply'])
  expect(violationsIn([connack(), request(1, 'k'), reply(9, 'k'), puback('connector', 1)])).toEqual([
    'ack-before-reply',
  ])
})

test('the tap reports the PUBACK of a request without a reply, even if a different request has a reply', () => {
  const two = [request(1, 'k'), request(2, 'l'), reply(9, 'l'), puback('broker', 9), puback('connector', 1)]
  expect(violationsIn([connack(), ...two])).toEqual(['ack-before-reply'])
})

test('the tap requires a reply for each delivery of the same request', () => {
  const twice = [request(1, 'k'), request(2, 'k'), reply(9, 'k'), puback('broker', 9)]
  const both = [
    ...twice,
    reply(10, 'k'),
    puback('broker', 10),
    puback('connector', 1),
    puback('connector', 2),
  ]
  expect(violationsIn([connack(), ...twice, puback('connector', 1), puback('connector', 2)])).toEqual([
    'ack-before-reply',
  ])
  expect(violationsIn([connack(), ...both])).toEqual([])
})

test('the tap accepts the reply on the Response Topic', () => {
  const elsewhere = 'infer/reply/a/elsewhere'
  const asked = request(1, 'k', { responseTopic: elsewhere })
  expect(
    violationsIn([connack(), asked, reply(9, 'k', elsewhere), puback('broker', 9), puback('connector', 1)]),
  ).toEqual([])
})

test('the tap accepts an expired request without a reply', () => {
  const expired = request(1, 'k', { messageExpiryInterval: 0 })
  expect(violationsIn([connack(), expired, puback('connector', 1)])).toEqual([])
})

test('the tap accepts a cancellation without a reply', () => {
  const cancel: Said = ['broker', publish('infer/cancel/a/m', 1, 'k')]
  expect(violationsIn([connack(), cancel, puback('connector', 1)])).toEqual([])
})

test('the tap reports PUBACKs out of order', () => {
  const answered = [
    request(1, 'k'),
    request(2, 'l'),
    reply(8, 'k'),
    reply(9, 'l'),
    puback('broker', 8),
    puback('broker', 9),
  ]
  expect(violationsIn([connack(), ...answered, puback('connector', 2), puback('connector', 1)])).toEqual([
    'ack-order',
  ])
})

describe('the tap, with a limit on how long a request delays the PUBACKs of later requests,', () => {
  const bounded = { ...RULES, ackHoldMaxMs: 2000 }
  const later = [request(2, 'l'), reply(9, 'l'), puback('broker', 9), puback('connector', 2)]

  test('allows a PUBACK to overtake a request that is older than the limit', () => {
    expect(violationsUnder(bounded, [connack(), request(1, 'k'), ['time', 2000], ...later])).toEqual([])
  })

  test('reports a PUBACK that overtakes a request younger than the limit', () => {
    expect(violationsUnder(bounded, [connack(), request(1, 'k'), ['time', 1900], ...later])).toEqual([
      'ack-order',
    ])
  })

  test('reports a PUBACK that overtakes two requests, one of them younger than the limit', () => {
    const behind = [request(1, 'k'), ['time', 3000], request(3, 'm'), ...later] as const
    expect(violationsUnder(bounded, [connack(), ...behind])).toEqual(['ack-order'])
  })

  test('allows any order when the limit is 0', () => {
    expect(violationsUnder({ ...RULES, ackHoldMaxMs: 0 }, [connack(), request(1, 'k'), ...later])).toEqual([])
  })
})

describe('the tap, when a Packet Identifier is reused,', () => {
  const anyOrder = { ...RULES, ackHoldMaxMs: 0 }
  const round = [connack(), request(1, 'old'), request(1, 'new'), reply(8, 'new'), puback('broker', 8)]

  test('reports a PUBACK that deletes the older, unanswered request', () => {
    expect(violationsUnder(anyOrder, [...round, puback('connector', 1)])).toEqual(['ack-wrap'])
  })

  test('accepts one PUBACK for each of the two requests after they are answered', () => {
    const both = [reply(9, 'old'), puback('broker', 9), puback('connector', 1), puback('connector', 1)]
    expect(violationsUnder(anyOrder, [...round, ...both])).toEqual([])
    expect(violationsUnder(anyOrder, [...round, ...both, puback('connector', 1)])).toEqual(['ack-unknown'])
  })

  test('treats a DUP redelivery on the same connection as the request that is still open', () => {
    const [, packet] = request(1, 'k')
    const again: Said = ['broker', { ...(packet as Packet), dup: true } as Packet]
    const answered = [reply(9, 'k'), puback('broker', 9), puback('connector', 1)]
    expect(violationsIn([connack(), request(1, 'k'), again, ...answered])).toEqual([])
  })
})

describe('a multi-part answer', () => {
  const parts = [request(1, 'k'), part(5, 'k', 0), part(6, 'k', 1)]
  const acks = (...ids: number[]): Said[] => ids.map((id) => puback('broker', id))
  const settled = puback('connector', 1)

  test('is complete when the broker has acknowledged every part and the final message', () => {
    expect(violationsIn([connack(), ...parts, final(7, 'k', 2), ...acks(5, 6, 7), settled])).toEqual([])
    expect(violationsIn([connack(), ...parts, final(7, 'k', 2), ...acks(7, 6, 5), settled])).toEqual([])
  })

  test('does not count as a reply without its final message', () => {
    expect(violationsIn([connack(), ...parts, ...acks(5, 6), settled])).toEqual([
      'ack-before-reply',
      'part-order',
    ])
  })

  test('does not count as a reply until the final message and all parts are acknowledged', () => {
    const sent = [connack(), ...parts, final(7, 'k', 2)]
    expect(violationsIn([...sent, ...acks(5, 6), settled])).toEqual(['ack-before-reply'])
    expect(violationsIn([...sent, ...acks(6, 7), settled])).toEqual(['ack-before-reply'])
  })

  test.each([
    ['begins with a part number above 0', [part(5, 'k', 1), final(6, 'k', 2)]],
    ['omits a part', [part(5, 'k', 0), part(6, 'k', 2), final(7, 'k', 3)]],
    ['repeats a part', [part(5, 'k', 0), part(6, 'k', 0)]],
    ['omits the last part before its final message', [part(5, 'k', 0), final(6, 'k', 2)]],
    ['has a part without a number', [part(5, 'k', 'first')]],
  ])('is out of order if it %s', (_what, sent) => {
    expect(violationsIn([connack(), request(1, 'k'), ...sent])).toEqual(['part-order'])
  })

  test('may lack parts that the broker rejected, when its final message is an error', () => {
    const error = final(7, 'k', 4, 'error', '502')
    const sent = [request(1, 'k'), part(5, 'k', 0), part(6, 'k', 2), error]
    expect(violationsIn([connack(), ...sent, ...acks(5, 6, 7), settled])).toEqual([])
    expect(violationsIn([connack(), request(1, 'k'), final(7, 'k', 2), ...acks(7), settled])).toEqual([
      'part-order',
    ])
  })

  test('may restart from 0 for a repeated request before the broker has acknowledged the first final message', () => {
    const first = [...parts, final(7, 'k', 2), ...acks(5, 6)]
    const second = [part(8, 'k', 0), final(9, 'k', 1)]
    const end = [...acks(7), settled, ...acks(8, 9), puback('connector', 2)]
    expect(violationsIn([connack(), ...first, request(2, 'k'), ...second, ...end])).toEqual([])
  })

  test('must not continue after its final message', () => {
    const ended = [connack(), ...parts, final(7, 'k', 2)]
    expect(violationsIn([...ended, part(8, 'k', 3)])).toEqual(['part-after-final'])
    expect(violationsIn([...ended, part(8, 'k', 0)])).toEqual(['part-after-final'])
    expect(violationsIn([...ended, ...acks(5, 6, 7), settled, part(8, 'k', 3)])).toEqual(['part-after-final'])
  })

  test('repeats its final message, with the same content, for a redelivery that joined the call', () => {
    const joined = [connack(), ...parts, request(2, 'k'), final(7, 'k', 2)]
    const end = [...acks(5, 6, 7, 8), settled, puback('connector', 2)]
    expect(violationsIn([...joined, final(8, 'k', 2), ...end])).toEqual([])
    expect(violationsIn([...joined, final(8, 'k', 2, 'other'), ...end])).toEqual(['part-after-final'])
    expect(violationsIn([...joined, ...acks(5, 6, 7), settled, puback('connector', 2)])).toEqual([
      'ack-before-reply',
    ])
  })

  test('may end with an error when the broker rejected the final message', () => {
    const refused: Said = ['broker', { cmd: 'puback', messageId: 7, reasonCode: 0x97 } as Packet]
    const sent = [connack(), ...parts, final(7, 'k', 2), ...acks(5, 6), refused]
    expect(violationsIn([...sent, final(8, 'k', 2, 'error'), ...acks(8), settled])).toEqual([])
  })

  test('restarts from 0 if the request is repeated after the final message', () => {
    const again = [request(2, 'k'), part(8, 'k', 0), final(9, 'k', 1), ...acks(8, 9), puback('connector', 2)]
    const first = [...parts, final(7, 'k', 2), ...acks(5, 6, 7), settled]
    expect(violationsIn([connack(), ...first, ...again])).toEqual([])
  })

  test('continues after a reconnect with the parts that the broker has not acknowledged', () => {
    const before = [connack(), ...parts, ...acks(5)]
    const rest = [final(7, 'k', 2), ...acks(6, 7), settled]
    expect(violationsIn(before, [connack(), request(1, 'k'), part(6, 'k', 1), ...rest])).toEqual([])
    // The tap saw an acknowledgement that the connector never received.
    const further = [part(5, 'k', 0), part(6, 'k', 1), ...acks(5), ...rest]
    expect(violationsIn(before, [connack(), request(1, 'k'), ...further])).toEqual([])
  })

  test('must not lose a part when the connector reconnects', () => {
    const before = [connack(), ...parts, ...acks(5)]
    const after = [connack(), request(1, 'k'), part(7, 'k', 2), final(8, 'k', 3)]
    expect(violationsIn(before, after)).toEqual(['part-order'])
  })

  test('may restart from 0 after a reconnect, or be replaced by a single message', () => {
    const end = [final(7, 'k', 1), ...acks(5, 7), settled]
    expect(
      violationsIn([connack(), ...parts], [connack(), request(1, 'k'), part(5, 'k', 0), ...end]),
    ).toEqual([])
    const interrupted = [connack(), request(1, 'k'), reply(5, 'k'), ...acks(5), settled]
    expect(violationsIn([connack(), ...parts], interrupted)).toEqual([])
  })
})

test('the tap reports a PUBACK for an unknown identifier, and for an identifier of an earlier connection', () => {
  expect(violationsIn([connack(), puback('connector', 7)])).toEqual(['ack-unknown'])
  expect(violationsIn([connack(), request(7, 'k')], [connack(), puback('connector', 7)])).toEqual([
    'ack-stale-epoch',
  ])
})

test('the tap reports a PUBLISH on a topic that is not allowed', () => {
  const allowed: Said[] = [reply(1, 'k', 'infer/status/one'), reply(2, 'k', 'dead/letter')]
  expect(violationsIn([connack(), ...allowed, reply(3, 'k', 'infer/status/two')])).toEqual(['foreign-topic'])
})

test("the tap reports publishes that exceed the broker's Receive Maximum or Maximum Packet Size", () => {
  const many = [connack({ receiveMaximum: 1 }), reply(1, 'k'), reply(2, 'l')]
  expect(violationsIn(many)).toEqual(['receive-maximum'])
  expect(violationsIn([connack({ maximumPacketSize: 20 }), reply(1, 'k')])).toEqual(['packet-too-large'])
})

test('the tap ignores a truncated packet', () => {
  const log = new TapLog(RULES)
  const checker = log.nextChecker()
  const bytes = mqttPacket.generate(reply(1, 'k', 'elsewhere')[1] as Packet, { protocolVersion: 5 })
  checker.fromClient(bytes.subarray(0, bytes.length - 1))
  expect(log.violations).toEqual([])
})
