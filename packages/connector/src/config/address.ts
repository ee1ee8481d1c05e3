// Validates the addresses in a configuration: URLs of the broker and of model servers, and Host headers.
import { DIALECTS, type DialectKind } from '@inferwire/protocol'

// The URL schemes of model servers, each with the scheme for the same transport over TLS.
const MODEL_SCHEMES: ReadonlyMap<string, string> = new Map([
  ['http:', 'https:'],
  ['https:', 'https:'],
])

/** Returns the expected form of a broker's URL, to complete the sentence "expected …"; undefined for a valid URL. */
export function brokerUrlMistake(value: string): string | undefined {
  const url = parse(value)
  if (
    url === undefined ||
    !['mqtt:', 'mqtts:', 'ws:', 'wss:'].includes(url.protocol) ||
    url.hostname === ''
  ) {
    return 'a URL such as mqtt://127.0.0.1:1883 (mqtt, mqtts, ws or wss)'
  }
  if (url.username !== '' || url.password !== '') {
    return 'a URL without a user name or password: use broker.username and broker.passwordFile'
  }
  const isWebSocket = url.protocol === 'ws:' || url.protocol === 'wss:'
  if (!isWebSocket && url.pathname !== '' && url.pathname !== '/')
    return 'a URL without a path: only ws and wss URLs have one'
  return hasTail(value) ? 'a URL without a query or fragment' : undefined
}

/** Returns the expected form of a model server's URL; see `brokerUrlMistake`. */
export function modelUrlMistake(value: string): string | undefined {
  const url = parse(value)
  const paths = modelPaths()
  if (url === undefined || !MODEL_SCHEMES.has(url.protocol)) {
    const schemes = [...MODEL_SCHEMES.keys()].map((scheme) => scheme.slice(0, -1))
    return `a URL such as http://iris.models.svc.cluster.local (${schemes.join(' or ')}), without ${paths.join(' or ')}`
  }
  if (url.username !== '' || url.password !== '') {
    return "a URL without a user name or password: use the model's credential"
  }
  if (paths.some((path) => goesIntoDialect(url.pathname, path))) {
    return `the part of the URL before ${paths.join(' or ')}: the connector adds the rest`
  }
  return hasTail(value) ? 'a URL without a query or fragment' : undefined
}

// A path that consists only of a dialect's root, such as `/v2`, is a mistake. After other segments, the root is
// allowed, because `/fraud/v2` may be the second version of a service.
function goesIntoDialect(pathname: string, path: string): boolean {
  const root = path.slice(0, path.indexOf('/', 1))
  return `${pathname}/`.includes(`${path}/`) || pathname.replace(/\/+$/, '') === root
}

/** Returns the expected form of the URL of a token endpoint; see `brokerUrlMistake`. */
export function tokenUrlMistake(value: string): string | undefined {
  const url = parse(value)
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    return 'a URL such as https://issuer.example/token'
  }
  if (url.username !== '' || url.password !== '') {
    return 'a URL without a user name or password: use clientId and clientSecretFile'
  }
  // RFC 6749 §3.2: a token endpoint may have a query, but no fragment.
  if (value.includes('#')) return 'a URL without a fragment'
  // RFC 6749 §3.2: TLS is required, because the request contains the client secret.
  return url.protocol === 'https:' || isInside(url.hostname)
    ? undefined
    : 'an https URL; http is allowed only for localhost and for names of Services in the cluster, such as dex.auth.svc.cluster.local'
}

// A request to such a host does not leave the machine or the cluster.
function isInside(hostname: string): boolean {
  return (
    /^(?:localhost|127\.[0-9.]+|\[::1\])$/.test(hostname) ||
    /^[a-z0-9-]+$/.test(hostname) ||
    /^[a-z0-9-]+\.[a-z0-9-]+\.svc(?:\.|$)/.test(hostname)
  )
}

/** Returns the URL with the scheme for TLS; undefined if it already uses TLS. */
export function withTls(modelUrl: string): string | undefined {
  const scheme = modelUrl.slice(0, modelUrl.indexOf(':') + 1)
  const secure = MODEL_SCHEMES.get(scheme.toLowerCase()) ?? scheme
  return secure === scheme.toLowerCase() ? undefined : secure + modelUrl.slice(scheme.length)
}

/** Returns the origin to which a credential may be sent. `URL.origin` is "null" for schemes such as grpc. */
export function originOf(modelUrl: string): string {
  const { protocol, host } = new URL(modelUrl)
  return `${protocol}//${host}`
}

/** Returns, for each dialect, the path that precedes the model's name; it ends in `/models`. */
export function modelPaths(): string[] {
  const paths = Object.values<DialectKind>(DIALECTS).flatMap(({ routes }) => routes.metadata?.path ?? [])
  // Two dialects may share a path.
  return [...new Set(paths.map((path) => path.replace(/\/\{model\}.*$/, '')))].sort()
}

/** Returns whether the text is a valid Host header: a name or an address, with or without a port. */
export function isHost(value: string): boolean {
  return /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?$/.test(value)
}

function parse(value: string): URL | undefined {
  // The URL parser would silently remove tabs, line breaks and surrounding spaces.
  return /[\s\u0000-\u001f]/.test(value) || value.length > 2048 || !URL.canParse(value)
    ? undefined
    : new URL(value)
}

// A parsed URL does not show whether it has an empty query or fragment.
function hasTail(value: string): boolean {
  return /[?#]/.test(value)
}
