// Patterns for the origins that a credential may be sent to, such as https://*.models.example:8443.

const PATTERN =
  /^(?<scheme>https?):\/\/(?<host>(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,250}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::(?<port>\*|[0-9]{1,5}))?$/
const DEFAULT_PORTS: Readonly<Record<string, string>> = { http: '80', https: '443' }
const EXPECTED = 'an origin such as https://gateway.example, https://*.models.example or http://10.0.0.7:8080'

/** Returns the expected form of a pattern, to complete the sentence "expected …"; undefined for a valid pattern. */
export function originPatternMistake(pattern: string): string | undefined {
  const parts = PATTERN.exec(pattern)?.groups
  if (parts === undefined) {
    return pattern.includes('://*') && !pattern.includes('://*.')
      ? `${EXPECTED}; "*" must be followed by a domain, because a credential that may be sent anywhere is not bound`
      : `${EXPECTED}, without a path`
  }
  const { scheme = '', host = '', port } = parts
  if (port !== undefined && port !== '*' && (Number(port) < 1 || Number(port) > 65_535)) return EXPECTED
  // The parser rejects invalid addresses, and reads numbers as an address.
  const sample = host.replace('*', 'any')
  if (!URL.canParse(`${scheme}://${sample}`)) return EXPECTED
  const isAddress = /(?:^|\.)[0-9]+$/.test(host)
  return isAddress && host.startsWith('*') ? `${EXPECTED}; an IP address must be complete` : undefined
}

/** Returns whether a URL has the scheme, the host and the port of the pattern; false for an invalid pattern. */
export function matchesOrigin(pattern: string, url: string): boolean {
  const parts = PATTERN.exec(pattern)?.groups
  if (parts === undefined || originPatternMistake(pattern) !== undefined || !URL.canParse(url)) return false
  const { scheme = '', host = '', port = DEFAULT_PORTS[scheme] } = parts
  const { protocol, hostname, port: urlPort } = new URL(url)
  const called = protocol.slice(0, -1)
  if (called !== scheme) return false
  if (port !== '*' && Number(port) !== Number(urlPort || DEFAULT_PORTS[called])) return false
  // The parser writes addresses in their shortest form.
  return host.startsWith('*.')
    ? hostname.endsWith(host.slice(1).toLowerCase()) && hostname.length > host.length - 1
    : hostname === new URL(`${scheme}://${host}`).hostname
}
