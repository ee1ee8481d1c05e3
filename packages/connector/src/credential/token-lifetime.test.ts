// Tests how the lifetime of a token is read from an issuer's answer, and from the token itself.
import { expect, test } from 'vitest'
import { tokenWith } from './testing/fake-issuer.ts'
import { lifetimeMsOf } from './token-lifetime.ts'

const WALL_CLOCK_MS = 1_000_000_000

function lifetime(token: string, expiresIn: unknown, isAccessToken = true): number | undefined {
  return lifetimeMsOf({ token, expiresIn, isAccessToken, wallClockMs: WALL_CLOCK_MS })
}

test.each([
  [3600, 3_600_000],
  ['3600', 3_600_000],
  [0.1, 1_000],
  [1e300, 1e303],
  [0, undefined],
  [-1, undefined],
  ['-5', undefined],
  ['soon', undefined],
  ['', undefined],
  [null, undefined],
  [undefined, undefined],
  [Number.NaN, undefined],
  [{}, undefined],
])('with expires_in %j, an opaque token lives %s ms', (expiresIn, expected) => {
  expect(lifetime('opaque', expiresIn)).toBe(expected)
})

test.each([
  [{ exp: 1_000_600, iat: 1_000_000 }, 600_000],
  // The clock of the issuer is an hour ahead.
  [{ exp: 1_004_200, iat: 1_003_600 }, 600_000],
  [{ exp: 1_000_060 }, 60_000],
  [{ exp: 999_999 }, undefined],
  [{ exp: 1_000_060, iat: 2_000_000 }, 60_000],
  [{ exp: 'never' }, undefined],
  [{}, undefined],
])('without expires_in, a token with the claims %j lives %s ms', (claims, expected) => {
  expect(lifetime(tokenWith(claims), undefined)).toBe(expected)
})

test('expires_in has precedence for the access token, and the lifetime in the token for an ID token', () => {
  const token = tokenWith({ exp: 1_000_600, iat: 1_000_000 })
  expect(lifetime(token, 60)).toBe(60_000)
  expect(lifetime(token, 60, false)).toBe(600_000)
  expect(lifetime('opaque', 60, false)).toBe(60_000)
})

test.each(['a.b.c', '..', 'a.bnVsbA.c', 'a.WzFd.c', 'x'.repeat(10_000)])(
  '%s has no lifetime of its own',
  (token) => {
    expect(lifetime(token, undefined)).toBeUndefined()
  },
)
