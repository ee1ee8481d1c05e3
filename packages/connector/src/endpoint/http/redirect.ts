// Interprets a redirect, which means that the gateway requires a login, or that the configured URL is wrong.

/** An answer and its request. */
export interface RedirectingAnswer {
  readonly status: number
  readonly location: string | undefined
  /** Description of the request for the log: its method, a space, and its URL. */
  readonly address: string
  /** The Host that was sent, if it differs from the address. */
  readonly host: string | undefined
}

// Path segments and host labels that are typical of login pages: Dex, oauth2-proxy, Keycloak.
const LOGIN_SEGMENTS = new Set(
  'login signin sign_in sign-in auth authorize authenticate authservice dex oauth oauth2 openid-connect saml sso'.split(
    ' ',
  ),
)
const LOGIN_LABELS = new Set(
  'login signin auth accounts dex idp keycloak oauth oauth2 oauth2-proxy sso'.split(' '),
)

/** Where a redirect leads. */
export interface Redirect {
  readonly leadsTo: 'login' | 'elsewhere'
  /** For the operator's log. */
  readonly detail: string
}

/**
 * Returns undefined if the answer is not a redirect. Redirects are not followed: requests are sent only to configured
 * addresses.
 */
export function readRedirect({
  status,
  location = '',
  address,
  host,
}: RedirectingAnswer): Redirect | undefined {
  if (status < 300 || status > 399) return undefined
  const askedUrl = address.slice(address.indexOf(' ') + 1)
  const detail = `${address}: ${status} to ${shownLocation(location, askedUrl)}; redirects are never followed`
  return { leadsTo: isLogin(location, askedUrl, host) ? 'login' : 'elsewhere', detail }
}

// Omits the query and the fragment, which may contain an OAuth `state` or code, and the user information (RFC 3986
// §3.2.1).
function shownLocation(location: string, askedUrl: string): string {
  if (!URL.canParse(location, askedUrl)) return 'an invalid URL'
  const { protocol, username, password, host, pathname } = new URL(location, askedUrl)
  const hasUser = username !== '' || password !== ''
  const shown = hasUser ? `${protocol}//${host}${pathname}` : location.replace(/[?#].*$/s, '')
  return `"${shown.slice(0, 200)}"`
}

// Words that also occur in the request's own path or host are ignored, because a model may be named `auth`.
function isLogin(location: string, askedUrl: string, host: string | undefined): boolean {
  if (!URL.canParse(location, askedUrl)) return false
  const asked = new URL(askedUrl)
  const target = new URL(location, asked)
  const ownSegments = new Set(segmentsOf(asked))
  if (segmentsOf(target).some((segment) => LOGIN_SEGMENTS.has(segment) && !ownSegments.has(segment))) {
    return true
  }
  const ownLabels = new Set([...labelsOf(asked.hostname), ...labelsOf(host ?? '')])
  return labelsOf(target.hostname).some((label) => LOGIN_LABELS.has(label) && !ownLabels.has(label))
}

function segmentsOf({ pathname }: URL): string[] {
  return pathname
    .toLowerCase()
    .split('/')
    .map((segment) => segment.replace(/\.(?:html?|php|jsp|aspx?)$/, ''))
}

function labelsOf(host: string): string[] {
  return host.toLowerCase().replace(/:\d+$/, '').split('.')
}
