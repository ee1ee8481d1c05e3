// Tests when a token is renewed, with a simulated clock and an issuer that the test controls.
import { Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Deadline } from '../step.ts'
import { IssuerError } from './issuer-error.ts'
import { RenewedToken, type FetchedToken } from './renewed-token.ts'
import { NO_DEADLINE, RecordedNews, TestDeadline } from './testing/source-parts.ts'

let news: RecordedNews
let open: { resolve: (token: FetchedToken) => void; reject: (error: unknown) => void }[]
let fetched: number
let token: RenewedToken

// The clock of the credential is the fake clock of vitest, which also runs its timers.
beforeEach(() => {
  vi.useFakeTimers()
  news = new RecordedNews()
  open = []
  fetched = 0
  token = new RenewedToken({
    place: 'credentials.a',
    news,
    now: () => Date.now(),
    random: () => 1,
    fetch: () => {
      fetched += 1
      return new Promise((resolve, reject) => open.push({ resolve, reject }))
    },
  })
})
afterEach(() => vi.useRealTimers())

const bearer = (name: string): readonly string[] => ['authorization', `Bearer ${name}`]
const down = new IssuerError('connect ECONNREFUSED', false)
const refused = new IssuerError('401 invalid_client', true)

async function answer(name: string, lifetimeMs: number | undefined): Promise<void> {
  open.shift()!.resolve({ headers: bearer(name), lifetimeMs })
  await vi.advanceTimersByTimeAsync(0)
}
async function fail(error: unknown): Promise<void> {
  open.shift()!.reject(error)
  await vi.advanceTimersByTimeAsync(0)
}
async function hold(name: string, lifetimeMs: number | undefined): Promise<readonly string[]> {
  const first = token.headers(NO_DEADLINE)
  await answer(name, lifetimeMs)
  return first
}
function problemOf(wait: unknown): Promise<Problem> {
  return Promise.resolve(wait).then(
    (value) => expect.unreachable(`resolved: ${String(value)}`),
    (error: unknown) => error as Problem,
  )
}

test('a thousand calls wait for one request, and then use the same array without a promise', async () => {
  const waiting = Array.from({ length: 1_000 }, async () => token.headers(new TestDeadline()))
  expect(fetched).toBe(1)
  await answer('one', 60_000)
  const all = await Promise.all(waiting)
  expect(new Set(all)).toEqual(new Set([all[0]]))
  expect(token.headers(NO_DEADLINE)).toBe(all[0])
  expect(fetched).toBe(1)
})

test('renews the token at 80 % of its lifetime, while calls use the old one', async () => {
  const one = await hold('one', 100_000)
  vi.advanceTimersByTime(79_999)
  expect(token.headers(NO_DEADLINE)).toBe(one)
  expect(fetched).toBe(1)
  vi.advanceTimersByTime(1)
  expect(token.headers(NO_DEADLINE)).toBe(one)
  expect(token.headers(NO_DEADLINE)).toBe(one)
  expect(fetched).toBe(2)
  await answer('two', 100_000)
  expect(token.headers(NO_DEADLINE)).toEqual(bearer('two'))
})

test('counts the lifetime from the moment of the request, because the issuer may be slow', async () => {
  const first = token.headers(NO_DEADLINE)
  await vi.advanceTimersByTimeAsync(9_000)
  await answer('one', 10_000)
  expect(await first).toEqual(bearer('one'))
  expect(token.headers(NO_DEADLINE)).toEqual(bearer('one'))
  expect(fetched).toBe(2)
  await vi.advanceTimersByTimeAsync(1_000)
  expect(token.headers(NO_DEADLINE)).toBeInstanceOf(Promise)
})

test('keeps the old token until it dies while the issuer is down, with a growing pause between requests', async () => {
  const one = await hold('one', 100_000)
  await vi.advanceTimersByTimeAsync(80_000)
  const begun: number[] = []
  for (let second = 0; second < 19; second++) {
    const before = fetched
    expect(token.headers(NO_DEADLINE)).toBe(one)
    if (fetched > before) {
      begun.push(second)
      await fail(down)
    }
    await vi.advanceTimersByTimeAsync(1_000)
  }
  expect(begun).toEqual([0, 1, 2, 4, 8, 16])
  await vi.advanceTimersByTimeAsync(1_000)
  const wait = token.headers(NO_DEADLINE)
  expect(wait).toBeInstanceOf(Promise)
  await vi.advanceTimersByTimeAsync(20_000)
  await answer('two', 100_000)
  expect(await wait).toEqual(bearer('two'))
  expect(news.all).toEqual(['failed, valid: credentials.a: connect ECONNREFUSED', 'recovered'])
})

test('the pause between two requests is at most 30 s, and random', async () => {
  const pauses: number[] = []
  void token.headers(NO_DEADLINE)
  for (let failure = 0; failure < 12; failure++) {
    await fail(down)
    const beganAtMs = Date.now()
    while (open.length === 0) await vi.advanceTimersToNextTimerAsync()
    pauses.push(Date.now() - beganAtMs)
  }
  expect(pauses.slice(0, 7)).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000])
  expect(Math.max(...pauses)).toBe(30_000)
  const early = new RenewedToken({
    place: 'credentials.b',
    news,
    now: () => Date.now(),
    random: () => 0,
    fetch: () => Promise.reject(down),
  })
  void early.headers(NO_DEADLINE)
  await vi.advanceTimersByTimeAsync(0)
  const beganAtMs = Date.now()
  await vi.advanceTimersToNextTimerAsync()
  expect(Date.now() - beganAtMs).toBe(250)
})

test('obeys Retry-After, up to the longest pause', async () => {
  void token.headers(NO_DEADLINE)
  await fail(new IssuerError('429', false, 7_000))
  await vi.advanceTimersByTimeAsync(6_999)
  expect(fetched).toBe(1)
  await vi.advanceTimersByTimeAsync(1)
  expect(fetched).toBe(2)
  await fail(new IssuerError('429', false, 3_600_000))
  await vi.advanceTimersByTimeAsync(30_000)
  expect(fetched).toBe(3)
})

test('a call that waits for the first token gets it when the issuer comes up inside its deadline', async () => {
  const wait = token.headers(NO_DEADLINE)
  await fail(down)
  await vi.advanceTimersByTimeAsync(500)
  await answer('one', 60_000)
  expect(await wait).toEqual(bearer('one'))
})

test('a call that waits ends with its deadline, and the reason is the issuer, not the model server', async () => {
  const deadline = new TestDeadline()
  const wait = problemOf(token.headers(deadline))
  await fail(down)
  deadline.pass(new Problem('deadline_exceeded', 'too late'))
  const problem = await wait
  expect(problem).toMatchObject({ code: 'unauthorized_upstream', retryable: true })
  expect(problem.detail).toBe('credentials.a: connect ECONNREFUSED')
  await vi.advanceTimersByTimeAsync(60_000)
  // Without calls there are no requests.
  expect(fetched).toBe(1)
})

test('a cancelled call ends with its own problem, and the others still get the token', async () => {
  const deadline = new TestDeadline()
  const cancelled = new Problem('cancelled', 'cancelled')
  const wait = problemOf(token.headers(deadline))
  const other = token.headers(NO_DEADLINE)
  deadline.pass(cancelled)
  expect(await wait).toBe(cancelled)
  await answer('one', 60_000)
  expect(await other).toEqual(bearer('one'))
})

test('an answer that will not change ends the wait at once, and is remembered for the pause', async () => {
  const waits = [token.headers(NO_DEADLINE), token.headers(NO_DEADLINE)].map(problemOf)
  await fail(refused)
  for (const problem of await Promise.all(waits)) {
    expect(problem).toMatchObject({ code: 'unauthorized_upstream', retryable: false })
  }
  expect((await problemOf(token.headers(NO_DEADLINE))).detail).toBe('credentials.a: 401 invalid_client')
  expect(fetched).toBe(1)
  await vi.advanceTimersByTimeAsync(500)
  const wait = token.headers(NO_DEADLINE)
  await answer('one', 60_000)
  expect(await wait).toEqual(bearer('one'))
  expect(news.all).toEqual(['failed, no secret: credentials.a: 401 invalid_client', 'recovered'])
})

test('a token of unknown lifetime is renewed after five minutes, and does not die', async () => {
  const one = await hold('one', undefined)
  await vi.advanceTimersByTimeAsync(5 * 60_000)
  expect(token.headers(NO_DEADLINE)).toBe(one)
  expect(fetched).toBe(2)
  await fail(refused)
  await vi.advanceTimersByTimeAsync(3_600_000)
  expect(token.headers(NO_DEADLINE)).toBe(one)
})

test('a token with a huge lifetime is renewed after a day', async () => {
  const one = await hold('one', Number.MAX_VALUE)
  await vi.advanceTimersByTimeAsync(24 * 3_600_000 - 1)
  expect(token.headers(NO_DEADLINE)).toBe(one)
  expect(fetched).toBe(1)
  await vi.advanceTimersByTimeAsync(1)
  expect(token.headers(NO_DEADLINE)).toBe(one)
  expect(fetched).toBe(2)
})

test('a rejection of many calls causes one request, and each call repeats once', async () => {
  const used = await hold('one', 60_000)
  const refreshing = Array.from({ length: 100 }, () => token.refresh(used, new TestDeadline()))
  expect(fetched).toBe(2)
  await answer('two', 60_000)
  expect(new Set(await Promise.all(refreshing))).toEqual(new Set([true]))
  // A call that was sent with the old token, and is rejected only now.
  expect(await token.refresh(used, NO_DEADLINE)).toBe(true)
  expect(fetched).toBe(2)
})

test('if every token is rejected, the issuer receives one request in five seconds', async () => {
  let used = await hold('one', 600_000)
  let refreshed = 0
  for (let call = 0; call < 200; call++) {
    const refreshing = token.refresh(used, NO_DEADLINE)
    if (open.length > 0) await answer(`again-${call}`, 600_000)
    if (await refreshing) refreshed += 1
    used = token.headers(NO_DEADLINE) as readonly string[]
    await vi.advanceTimersByTimeAsync(100)
  }
  expect(refreshed).toBe(4)
  expect(fetched).toBe(5)
})

test('a renewal that brings the same token changes nothing', async () => {
  const used = await hold('one', 60_000)
  const refreshing = token.refresh(used, NO_DEADLINE)
  await answer('one', 60_000)
  expect(await refreshing).toBe(false)
  expect(token.headers(NO_DEADLINE)).toBe(used)
})

test('a rejected call whose deadline passes during the renewal is not repeated', async () => {
  const used = await hold('one', 60_000)
  const deadline = new TestDeadline()
  const refreshing = token.refresh(used, deadline)
  deadline.pass(new Problem('deadline_exceeded', 'too late'))
  expect(await refreshing).toBe(false)
  // A later wait of the same request keeps its callback.
  const later = vi.fn()
  deadline.waiting = later
  await answer('two', 60_000)
  expect(deadline.waiting).toBe(later)
})

test('a call whose deadline has passed waits for nothing', async () => {
  const deadline: Deadline = new TestDeadline()
  ;(deadline as TestDeadline).pass(new Problem('deadline_exceeded', 'too late'))
  expect((await problemOf(token.headers(deadline))).code).toBe('deadline_exceeded')
  expect(fetched).toBe(0)
})
