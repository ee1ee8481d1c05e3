import { expect, test } from 'vitest'
import { retryAfterMs } from './retry-after.ts'

const DAY_MS = 86_400_000
const NOW = 'Wed, 21 Oct 2026 07:28:00 GMT'

test.each([
  ['3', 3_000],
  ['0', 0],
  ['00', 0],
  // These two waits are capped at a day: 31 years, and a number above the range of a double.
  ['1000000000', DAY_MS],
  ['9'.repeat(400), DAY_MS],
  ['Wed, 21 Oct 2026 07:28:09 GMT', 9_000],
  ['Wednesday, 21-Oct-26 07:28:09 GMT', 9_000],
  ['Wed Oct 21 07:28:09 2026', 9_000],
  ['Wed, 21 Oct 2026 07:27:59 GMT', 0],
  ['Fri, 31 Dec 9999 23:59:59 GMT', DAY_MS],
])('Retry-After "%s" at 07:28:00 means %d ms', (value, waitMs) => {
  expect(retryAfterMs(value, NOW)).toBe(waitMs)
})

test.each(['', '-1', '1e9', '1.5', ' 1', 'soon', '2026-10-21T07:28:09Z', 'Wed, 99 Oct 2026 07:28:09 GMT'])(
  'Retry-After %j is invalid',
  (value) => {
    expect(retryAfterMs(value, NOW)).toBeUndefined()
  },
)

test("compares a date with the response's Date, or with the local clock if there is no Date", () => {
  const soon = new Date(Date.now() + 60_000).toUTCString()
  for (const date of [undefined, '', 'yesterday']) {
    const waitMs = retryAfterMs(soon, date)
    expect(waitMs).toBeGreaterThan(50_000)
    expect(waitMs).toBeLessThanOrEqual(60_000)
  }
  // The server's clock is years behind the local clock.
  expect(retryAfterMs('Sun, 06 Nov 1994 08:49:37 GMT', 'Sun, 06 Nov 1994 08:49:30 GMT')).toBe(7_000)
})
