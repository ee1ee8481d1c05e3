// What a redirect means: a gateway that wants a login, or an address that is configured wrong.
import { Problem } from '@inferwire/protocol'

/** A redirect, and the request that it answers. */
export interface Redirect {
  readonly status: number
  readonly location: string | undefined
  /** The log's name of the request: its method, a space, and its URL. */
  readonly address: string
  /** The Host that was sent where it differs from the address. */
  readonly host: string | undefined
}

// Whole segments of a path, and whole labels of a host name, that only a login has: Dex, oauth2-proxy, Keycloak.
const LOGIN_SEGMENTS = new Set(
  'login signin sign_in sign-in auth authorize authenticate authservice dex oauth oauth2 openid-connect saml sso'.split(
    ' ',
  ),
)
const LOGIN_LABELS = new Set(
  'login signin auth accounts dex idp keycloak oauth oauth2 oauth2-proxy sso'.split(' '),
)

/** No redirect is followed: a POST must not leave for an address that the operator did not configure. */
export function redirected({ status, location = '', address, host }: Redirect): Problem {
  const askedUrl = address.slice(address.indexOf(' ') + 1)
  const detail = `${address}: ${status} to ${shownLocation(location, askedUrl)}; redirects are never followed`
  if (isLogin(location, askedUrl, host)) {
    return new Problem('unauthorized_upstream', 'The gateway in front of the model wants a login.', {
      detail: `${detail}. Configure models.*.credential (token-file), or call the model inside the mesh.`,
    })
  }
  return new Problem('upstream_invalid_response', 'The model server answered with a redirect.', {
    detail: `${detail}. Check models.*.url.`,
  })
}

// Without the query and the fragment, where a login's redirect has the OAuth `state` or a code, and without the user
// information of RFC 3986 §3.2.1.
function shownLocation(location: string, askedUrl: string): string {
  if (!URL.canParse(location, askedUrl)) return 'what is not a URL'
  const { protocol, username, password, host, pathname } = new URL(location, askedUrl)
  const hasUser = username !== '' || password !== ''
  const shown = hasUser ? `${protocol}//${host}${pathname}` : location.replace(/[?#].*$/s, '')
  return `"${shown.slice(0, 200)}"`
}

// What stands in our own path or host is a name that the users chose, such as a model `auth`: it is no sign.
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
