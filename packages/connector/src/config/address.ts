// Judges the addresses in a configuration: of the broker, of model servers, of the Host to send.
import { DIALECTS, type DialectKind } from '@inferwire/protocol'

// What model servers are called over: the scheme of the URL, and the scheme of the same with TLS.
const MODEL_SCHEMES: ReadonlyMap<string, string> = new Map([
  ['http:', 'https:'],
  ['https:', 'https:'],
])

/** What is wrong with a broker's URL, as the end of the sentence "expected …"; undefined when nothing is. */
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
    return 'a URL without user name and password: use broker.username and broker.passwordFile'
  }
  const isWebSocket = url.protocol === 'ws:' || url.protocol === 'wss:'
  if (!isWebSocket && url.pathname !== '' && url.pathname !== '/')
    return 'a URL without a path: only ws and wss have one'
  return hasTail(value) ? 'a URL without a query and a fragment' : undefined
}

/** What is wrong with a model server's URL; see `brokerUrlMistake`. */
export function modelUrlMistake(value: string): string | undefined {
  const url = parse(value)
  const paths = modelPaths()
  if (url === undefined || !MODEL_SCHEMES.has(url.protocol)) {
    const schemes = [...MODEL_SCHEMES.keys()].map((scheme) => scheme.slice(0, -1))
    return `a URL such as http://iris.models.svc.cluster.local (${schemes.join(' or ')}), what comes before ${paths.join(' or ')}`
  }
  if (url.username !== '' || url.password !== '') {
    return 'a URL without user name and password: use the credential of the model'
  }
  if (paths.some((path) => goesIntoDialect(url.pathname, path))) {
    return `the URL before ${paths.join(' or ')}: the connector adds the rest of the path`
  }
  return hasTail(value) ? 'a URL without a query and a fragment' : undefined
}

// Behind a prefix, such a last segment may be the user's own: the second version of a service.
function goesIntoDialect(pathname: string, path: string): boolean {
  const root = path.slice(0, path.indexOf('/', 1))
  return `${pathname}/`.includes(`${path}/`) || pathname.replace(/\/+$/, '') === root
}

/** The model server's URL with TLS; undefined when it has TLS already. */
export function withTls(modelUrl: string): string | undefined {
  const scheme = modelUrl.slice(0, modelUrl.indexOf(':') + 1)
  const secure = MODEL_SCHEMES.get(scheme.toLowerCase()) ?? scheme
  return secure === scheme.toLowerCase() ? undefined : secure + modelUrl.slice(scheme.length)
}

/** Where a credential for this URL may be sent. Not `URL.origin`: it is "null" for schemes that no browser knows. */
export function originOf(modelUrl: string): string {
  const { protocol, host } = new URL(modelUrl)
  return `${protocol}//${host}`
}

/** Where the dialects have their models: a path that ends in `/models` each. */
export function modelPaths(): string[] {
  const paths = Object.values<DialectKind>(DIALECTS).flatMap(({ routes }) => routes.metadata?.path ?? [])
  return paths.map((path) => path.replace(/\/\{model\}.*$/, '')).sort()
}

/** Whether text can be sent as Host: a name or an address, with or without a port. */
export function isHost(value: string): boolean {
  return /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?$/.test(value)
}

function parse(value: string): URL | undefined {
  // The URL parser drops tabs and line breaks and trims; a configuration means what it says.
  return /[\s\u0000-\u001f]/.test(value) || value.length > 2048 || !URL.canParse(value)
    ? undefined
    : new URL(value)
}

// An empty query or fragment leaves no trace in the parsed URL.
function hasTail(value: string): boolean {
  return /[?#]/.test(value)
}
