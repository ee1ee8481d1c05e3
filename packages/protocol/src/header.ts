// Decides which user properties of a request become HTTP headers of the upstream call, for all endpoints.

// Headers that the configuration cannot allow, because they determine identity, routing or framing.
const DENIED = new Set([
  'accept-encoding',
  'authorization',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'idempotency-key',
  'keep-alive',
  'kubeflow-groups',
  'kubeflow-userid',
  'proxy-authenticate',
  'proxy-authorization',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'via',
])
const DENIED_PREFIXES = [
  'x-envoy-',
  'x-forwarded-',
  'x-real-',
  'kserve-',
  'kubeflow-',
  'proxy-',
  'sec-',
  'ce-',
]
const TOKEN = /^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/
const VALUE = /^[\x20-\x7e]{0,1024}$/

/** Maximum number of headers taken from one request. */
export const PASSED_HEADERS_MAX = 16

/**
 * Headers that are always forwarded if they are well-formed: W3C trace context, and the JSON length of the V2 binary
 * tensor extension.
 */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** Whether the configuration may allow this header name. Names must be in lower case. */
export function isAllowableHeader(name: string): boolean {
  return TOKEN.test(name) && !DENIED.has(name) && !DENIED_PREFIXES.some((prefix) => name.startsWith(prefix))
}

/**
 * Returns the headers that a request's user properties add to the upstream call, as a flat name/value list. Names are
 * compared exactly. Headers that are not allowed, are malformed, or repeat a name are omitted.
 */
export function passedHeaders(properties: readonly string[], allowed: ReadonlySet<string>): string[] {
  const headers: string[] = []
  const seen = new Set<string>()
  for (let index = 0; index + 1 < properties.length; index += 2) {
    const name = properties[index]!
    const value = properties[index + 1]!
    if (seen.has(name) || headers.length >= 2 * PASSED_HEADERS_MAX) continue
    if (
      name === 'traceparent'
        ? !TRACEPARENT.test(value)
        : name === 'tracestate'
          ? !VALUE.test(value)
          : !allowed.has(name)
    )
      continue
    if (!isAllowableHeader(name) || !VALUE.test(value)) continue
    seen.add(name)
    headers.push(name, value)
  }
  return headers
}

/** Whether text has the form of a W3C `traceparent` of version 00. */
export function isTraceparent(value: string): boolean {
  return TRACEPARENT.test(value)
}
