// Determines how long a token is valid.

/** What an issuer says about a token's lifetime. */
export interface LifetimeFacts {
  /** The token that is sent. */
  readonly token: string
  /** Member `expires_in` of the answer: the lifetime of the access token in seconds, if the issuer is correct. */
  readonly expiresIn: unknown
  /** Whether `expiresIn` applies to the token. */
  readonly isAccessToken: boolean
  /** Wall clock in milliseconds. */
  readonly wallClockMs: number
}

// A shorter lifetime would mean a token request for nearly every call.
const LIFETIME_MIN_MS = 1_000

/** Returns the remaining lifetime in milliseconds; undefined if neither the answer nor the token contains it. */
export function lifetimeMsOf(facts: LifetimeFacts): number | undefined {
  const { expiresIn, isAccessToken } = facts
  const stated = secondsOf(expiresIn)
  const own = lifetimeInToken(facts.token, facts.wallClockMs)
  const seconds = isAccessToken ? (stated ?? own) : (own ?? stated)
  return seconds === undefined ? undefined : Math.max(seconds * 1_000, LIFETIME_MIN_MS)
}

// RFC 6749 §5.1 requires a number; some issuers send text. Zero and negative numbers are not lifetimes.
function secondsOf(value: unknown): number | undefined {
  const seconds = typeof value === 'string' && /^[0-9]{1,15}$/.test(value) ? Number(value) : value
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0 ? seconds : undefined
}

// The difference between `exp` and `iat` does not depend on the clock of this machine.
function lifetimeInToken(token: string, wallClockMs: number): number | undefined {
  const { exp, iat } = claimsOf(token)
  if (typeof exp !== 'number' || !Number.isFinite(exp)) return undefined
  const begin = typeof iat === 'number' && iat < exp ? iat : wallClockMs / 1_000
  return exp > begin ? exp - begin : undefined
}

// The token is not verified: only the server that accepts it can do that.
function claimsOf(token: string): { readonly exp?: unknown; readonly iat?: unknown } {
  const [, payload, signature] = token.split('.')
  if (payload === undefined || signature === undefined) return {}
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    return typeof claims === 'object' && claims !== null ? claims : {}
  } catch {
    return {}
  }
}
