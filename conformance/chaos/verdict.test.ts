// Tests the verdict with scripted ledgers, for each kind of fault.
import { describe, expect, test } from 'vitest'
import { KIND, Ledger } from './ledger.ts'
import { judge, type Verdict } from './verdict.ts'

const T = 1_000_000

// Adds a request that was published at T and acknowledged 10 ms later, with a deadline of a minute.
function asked(ledger: Ledger, number = 0): void {
  ledger.published(number, KIND.raw, 60)
  ledger.publishedAtMs[number] = T
  ledger.expiresAtMs[number] = T + 60_000
  ledger.pubackAtMs[number] = T + 10
}

// Adds request 0 and these parts of its answer, in this order.
function received(ledger: Ledger, ...numbers: number[]): void {
  asked(ledger)
  for (const seq of numbers) ledger.part(0, { seq, isFinal: false, isError: false })
}

function verdictOn(write: (ledger: Ledger) => void): Verdict {
  const ledger = new Ledger(10)
  write(ledger)
  return judge({ ledger, violations: [] })
}

function brokerKilledAt(ledger: Ledger, startedAtMs: number): void {
  ledger.faults.push({ kind: 'broker-kill', startedAtMs, endedAtMs: startedAtMs + 50, recoveryMs: undefined })
}

test('the verdict passes if every request is answered once', () => {
  const verdict = verdictOn((ledger) => {
    asked(ledger)
    ledger.replied(0, '200', false)
    ledger.called(0)
  })
  expect(verdict).toMatchObject({ hasFailed: false, reasons: [], requests: 1, answered: 1, calls: 1 })
})

test('the verdict counts an error with a code as an answer', () => {
  const verdict = verdictOn((ledger) => {
    asked(ledger)
    ledger.replied(0, 'upstream_unreachable', false)
  })
  expect(verdict).toMatchObject({ hasFailed: false, outcomes: { upstream_unreachable: 1 } })
})

test('the verdict fails for an answer with the code internal, but not for a request that was set aside', () => {
  const verdict = verdictOn((ledger) => {
    asked(ledger, 0)
    asked(ledger, 1)
    ledger.replied(0, 'internal', false)
    ledger.replied(1, 'poison', false)
  })
  expect(verdict.reasons).toEqual(['1 requests were answered with the code internal'])
})

test('the verdict fails if a request that the broker acknowledged is never answered', () => {
  const verdict = verdictOn((ledger) => asked(ledger))
  expect(verdict).toMatchObject({ hasFailed: true, unanswered: 1, unansweredByBrokerKill: 0 })
  expect(verdict.reasons).toEqual(['1 requests that the broker had acknowledged were never answered'])
  expect(verdict.firstUnanswered).toMatchObject([{ number: 0, pubackAtMs: T + 10, kind: 'raw' }])
})

test.each([
  ['to a broker that was killed just after it acknowledged the request', T + 900, 0, 1],
  ['to a broker that was killed just before its acknowledgement was read', T + 5, 0, 1],
  ['not to a broker that was killed and restarted before the request was published', T - 900, 0, 0],
  ['not to a broker that was killed two seconds after it acknowledged the request', T + 2010, 0, 0],
  [
    'to a broker that was killed just after it acknowledged the reply, two seconds after the request',
    T + 2010,
    T + 1500,
    1,
  ],
])('the verdict attributes the loss of a request %s', (_when, killedAtMs, replyTakenAtMs, expected) => {
  const verdict = verdictOn((ledger) => {
    asked(ledger)
    ledger.replyTakenAtMs[0] = replyTakenAtMs
    brokerKilledAt(ledger, killedAtMs)
  })
  expect(verdict).toMatchObject({ unansweredByBrokerKill: expected, unanswered: 1 - expected })
  expect(verdict.hasFailed).toBe(expected === 0)
})

test('the verdict counts, for each kill of the broker, the requests in flight and the losses', () => {
  const { brokerKills } = verdictOn((ledger) => {
    for (const number of [0, 1, 2, 3]) asked(ledger, number)
    ledger.replied(0, '200', false)
    ledger.repliedAtMs[0] = T + 300
    ledger.replied(1, '200', false)
    ledger.repliedAtMs[1] = T + 900
    ledger.replyTakenAtMs[2] = T + 450
    ledger.kinds[3] = KIND.sdk
    brokerKilledAt(ledger, T + 5000)
    brokerKilledAt(ledger, T + 500)
    brokerKilledAt(ledger, T - 500)
  })
  expect(brokerKills).toMatchObject([
    { startedAtMs: T - 500, underWay: 0, lostRequests: 0, lostReplies: 0 },
    { startedAtMs: T + 500, underWay: 2, lostRequests: 0, lostReplies: 1 },
    { startedAtMs: T + 5000, underWay: 0, lostRequests: 0, lostReplies: 0 },
  ])
})

test('the verdict never excuses an unanswered SDK request, even if the broker was killed', () => {
  const verdict = verdictOn((ledger) => {
    asked(ledger)
    ledger.kinds[0] = KIND.sdk
    brokerKilledAt(ledger, T + 10)
  })
  expect(verdict).toMatchObject({ hasFailed: true, unansweredSdk: 1 })
})

test('the verdict counts requests as indeterminate if the broker never acknowledged them', () => {
  const verdict = verdictOn((ledger) => {
    asked(ledger)
    ledger.pubackAtMs[0] = 0
    ledger.abandon(0)
  })
  expect(verdict).toMatchObject({ hasFailed: false, indeterminate: 1, unanswered: 0 })
})

test('the verdict excuses an expired request only if the time until its deadline was shorter than an outage', () => {
  const verdict = verdictOn((ledger) => {
    asked(ledger, 0)
    asked(ledger, 1)
    ledger.expiresAtMs[0] = T + 3000
  })
  expect(verdict).toMatchObject({ expired: 1, unanswered: 1 })
})

test('the verdict fails if a reply belongs to another request, or to no request', () => {
  const wrongReply = { atMs: T, number: 0, what: 'the answer of its counterpart' }
  const crossed = verdictOn((ledger) => ledger.wrongReply({ ...wrongReply, kind: 'crossed' }))
  const phantom = verdictOn((ledger) => ledger.wrongReply({ ...wrongReply, kind: 'phantom' }))
  expect(crossed).toMatchObject({ hasFailed: true, crossed: 1, firstWrongReplies: [wrongReply] })
  expect(phantom).toMatchObject({ hasFailed: true, phantom: 1 })
})

describe('a multi-part answer', () => {
  const last = { seq: 3, isFinal: true, isError: false }
  function ended(ledger: Ledger): void {
    ledger.part(0, last)
    ledger.replied(0, '200', false)
  }

  test('counts as an answer only with its final message', () => {
    const whole = verdictOn((ledger) => {
      received(ledger, 0, 1, 2)
      ended(ledger)
    })
    expect(whole).toMatchObject({ hasFailed: false, answered: 1, parts: 3, torn: 0, duplicateReplies: 0 })
    expect(verdictOn((ledger) => received(ledger, 0, 1, 2))).toMatchObject({ unanswered: 1, torn: 0 })
  })

  test('may repeat parts and restart', () => {
    const verdict = verdictOn((ledger) => {
      received(ledger, 0, 1, 2, 1, 2, 0, 1, 2)
      ended(ledger)
      ledger.part(0, last)
      ledger.replied(0, '200', false)
    })
    expect(verdict).toMatchObject({ hasFailed: false, torn: 0, duplicateReplies: 1 })
  })

  test.each([
    ['between others', [0, 2]],
    ['at the beginning', [1]],
    ['before the final message', [0, 1]],
    ['because a part has no number', [0, NaN, 2]],
  ])('counts as torn if a part is missing %s', (_where, numbers) => {
    const verdict = verdictOn((ledger) => {
      received(ledger, ...numbers)
      ended(ledger)
    })
    expect(verdict).toMatchObject({ hasFailed: true, torn: 1, answered: 1 })
    expect(verdict.reasons).toEqual(['1 answers lacked a part, or had one beyond the final message'])
  })

  test('may lack parts when its final message is an error', () => {
    const verdict = verdictOn((ledger) => {
      received(ledger, 0, 2)
      ledger.part(0, { ...last, isError: true })
      ledger.replied(0, 'response_too_large', false)
    })
    expect(verdict).toMatchObject({ hasFailed: false, torn: 0, answered: 1 })
  })

  test.each([
    ['counts as torn if a part has a number beyond the final message', 3, 1],
    ['does not count as torn if a part is received again after the final message', 2, 0],
  ])('%s', (_what, seq, torn) => {
    const verdict = verdictOn((ledger) => {
      received(ledger, 0, 1, 2)
      ended(ledger)
      ledger.part(0, { seq, isFinal: false, isError: false })
    })
    expect(verdict).toMatchObject({ hasFailed: torn > 0, torn })
  })

  test('does not count as torn if the broker was killed while the answer was sent', () => {
    const verdict = verdictOn((ledger) => {
      received(ledger, 0, 2)
      ended(ledger)
      ledger.tornAtMs[0] = T + 500
      brokerKilledAt(ledger, T + 300)
    })
    expect(verdict).toMatchObject({ hasFailed: false, torn: 0, tornByBrokerKill: 1 })
  })
})

test('the verdict counts duplicate replies and extra calls without failing', () => {
  const verdict = verdictOn((ledger) => {
    asked(ledger)
    for (const isDup of [false, false, true]) ledger.replied(0, '200', isDup)
    for (let call = 0; call < 3; call++) ledger.called(0)
  })
  expect(verdict).toMatchObject({
    hasFailed: false,
    duplicateReplies: 1,
    redeliveredReplies: 1,
    calls: 3,
    extraCalls: 2,
  })
})

test('the verdict does not fail because of unanswered requests if the run ended early', () => {
  const ledger = new Ledger(10)
  asked(ledger)
  expect(judge({ ledger, violations: [], isCutShort: true })).toMatchObject({ unanswered: 0, open: 1 })
})

test.each([
  ['altered', { altered: 1 }, '1 parts or ends of streams are not what the model server sent'],
  ['gap', { gapsUnseen: 1 }, '1 streams had a gap that the SDK did not report'],
] as const)('the verdict fails if a stream is wrong (%s)', (kind, counts, reason) => {
  const verdict = verdictOn((ledger) => {
    asked(ledger)
    ledger.replied(0, '200', false)
    ledger.wrongReply({ kind, atMs: T, number: 0, what: 'wrong' })
  })
  expect(verdict).toMatchObject({ hasFailed: true, reasons: [reason], ...counts })
})

test('the verdict fails if a stream has parts, but no final message', () => {
  const verdict = verdictOn((ledger) => received(ledger, 0, 1))
  expect(verdict).toMatchObject({ hasFailed: true, unanswered: 1, unfinished: 1 })
  expect(verdict.reasons).toContain('1 streams had parts, but no final message')
})

test('the verdict excuses a stream without a final message if the broker was killed meanwhile', () => {
  const verdict = verdictOn((ledger) => {
    received(ledger, 0, 1)
    brokerKilledAt(ledger, T + 900)
  })
  expect(verdict).toMatchObject({ hasFailed: false, unansweredByBrokerKill: 1, unfinished: 0 })
})
