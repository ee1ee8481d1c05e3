// Builds Envoy's configuration for the gate: the parts that Istio renders from Kubeflow's policies, as plain objects.
import { rbacRules, type AuthorizationPolicy } from './authorization-policy.ts'
import type { CertificateFiles } from './certificates.ts'
import type { KeySet } from './tokens.ts'

/** An issuer whose tokens the gateway accepts. */
export interface TrustedIssuer {
  readonly issuer: string
  /** The keys, or `unreachable` for a gateway that cannot fetch them. */
  readonly keys: KeySet | 'unreachable'
  /** The claim with the user's name, which the gateway passes on as `kubeflow-userid`. */
  readonly userClaim: string
  /** @default tokens of any audience are accepted */
  readonly audiences?: readonly string[]
}

/** A loopback port; `isHttp2` for connections without TLS that begin with HTTP/2. */
export interface UpstreamPort {
  readonly name: string
  readonly port: number
  readonly isHttp2?: boolean
  /** Certificates for mTLS. @default no TLS */
  readonly mtls?: { readonly own: CertificateFiles; readonly ca: string }
  /** Limits the calls in flight to one, with one more that waits. */
  readonly isNarrow?: boolean
}

const API = 'type.googleapis.com/envoy.extensions'
const HTTP_PROTOCOL_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'
// Envoy's default is 15 s; Istio sets none.
const NO_TIMEOUT = '0s'

/** A filter with its configuration. */
function filter(name: string, type: string, config: object): object {
  return { name, typed_config: { '@type': `${API}.${type}`, ...config } }
}

const ROUTER = filter('router', 'filters.http.router.v3.Router', {})

/** A cluster with one endpoint on loopback, or with none if `port` is 0. */
export function cluster({ name, port, isHttp2 = false, mtls, isNarrow = false }: UpstreamPort): object {
  const endpoint = { endpoint: { address: loopback(port) } }
  const http2 = { explicit_http_config: { http2_protocol_options: {} } }
  const one = { max_connections: 1, max_pending_requests: 1, max_requests: 1 }
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: { cluster_name: name, endpoints: port === 0 ? [] : [{ lb_endpoints: [endpoint] }] },
    ...(isNarrow ? { circuit_breakers: { thresholds: [one] } } : {}),
    ...(isHttp2
      ? {
          typed_extension_protocol_options: {
            [HTTP_PROTOCOL_OPTIONS]: { '@type': `type.googleapis.com/${HTTP_PROTOCOL_OPTIONS}`, ...http2 },
          },
        }
      : {}),
    ...(mtls === undefined
      ? {}
      : {
          transport_socket: filter('tls', 'transport_sockets.tls.v3.UpstreamTlsContext', {
            common_tls_context: tlsContext(mtls.own, mtls.ca),
          }),
        }),
  }
}

/** The routes of a host to a pod: gRPC calls use HTTP/2. */
export function routesTo(
  name: string,
  { timeout = NO_TIMEOUT, pathPrefix = '' }: { timeout?: string; pathPrefix?: string } = {},
): object[] {
  // gRPC clients cannot use a path prefix.
  const grpc = { match: { prefix: '/', grpc: {} }, route: { cluster: `${name}-h2`, timeout } }
  const route = { cluster: name, timeout }
  if (pathPrefix === '') return [grpc, { match: { prefix: '/' }, route }]
  const regex_rewrite = { pattern: { regex: `^${pathPrefix}` }, substitution: '' }
  return [{ match: { safe_regex: { regex: `${pathPrefix}/.*` } }, route: { ...route, regex_rewrite } }]
}

/** A host and its routes. */
export function virtualHost(name: string, domains: readonly string[], routes: readonly object[]): object {
  return { name, domains, routes }
}

/** Options of a listener that handles HTTP. */
export interface HttpListener {
  readonly name: string
  readonly port: number
  readonly filters: readonly object[]
  readonly hosts: readonly object[]
  /** Header fields that are removed from every response. */
  readonly hidden?: readonly string[]
  /** Requires client certificates of the mesh; with `isPermissive`, also accepts connections without TLS. */
  readonly mtls?: { readonly own: CertificateFiles; readonly ca: string; readonly isPermissive: boolean }
  /** Limit on the header fields of a request. @default 60, Envoy's own */
  readonly headersKbMax?: number
}

/** A listener on loopback. */
export function listener(options: HttpListener): object {
  const { name, port, mtls } = options
  const filters = [connectionManager(options)]
  const socket =
    mtls &&
    filter('tls', 'transport_sockets.tls.v3.DownstreamTlsContext', {
      require_client_certificate: true,
      common_tls_context: { alpn_protocols: ['h2', 'http/1.1'], ...tlsContext(mtls.own, mtls.ca) },
    })
  const tls = { filters, transport_socket: socket }
  const chains =
    mtls?.isPermissive === true
      ? [
          { ...tls, filter_chain_match: { transport_protocol: 'tls' } },
          { filters, filter_chain_match: { transport_protocol: 'raw_buffer' } },
        ]
      : [socket === undefined ? { filters } : tls]
  return {
    name,
    address: loopback(port),
    ...(mtls?.isPermissive === true
      ? { listener_filters: [filter('tls_inspector', 'filters.listener.tls_inspector.v3.TlsInspector', {})] }
      : {}),
    filter_chains: chains,
  }
}

function connectionManager({ name, filters, hosts, hidden = [], headersKbMax = 60 }: HttpListener): object {
  return filter('hcm', 'filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: name,
    server_name: 'istio-envoy',
    normalize_path: true,
    max_request_headers_kb: headersKbMax,
    http_filters: [...filters, ROUTER],
    route_config: {
      name,
      virtual_hosts: hosts,
      ...(hidden.length === 0 ? {} : { response_headers_to_remove: hidden }),
    },
  })
}

/** The filter of a pod's sidecar. The mesh denies everything that no ALLOW policy allows. */
export function podRules(policies: readonly AuthorizationPolicy[]): object[] {
  const rbac = (action: 'ALLOW' | 'DENY'): object =>
    filter(`rbac-${action}`, 'filters.http.rbac.v3.RBAC', { rules: rbacRules(policies, action) })
  const denies = policies.some(({ spec }) => spec.action === 'DENY')
  return [...(denies ? [rbac('DENY')] : []), rbac('ALLOW')]
}

/**
 * The filters of Kubeflow's ingress gateway, in Istio's order:
 * - AuthorizationPolicy `istio-ingressgateway-oauth2-proxy` (CUSTOM): a request without Authorization goes to the login
 *   service;
 * - the RequestAuthentications: a token must be valid;
 * - AuthorizationPolicy `istio-ingressgateway-require-jwt` (DENY): a request without a verified user is refused.
 */
export function gatewayFilters(issuers: readonly TrustedIssuer[]): object[] {
  const notLogin = [
    {
      not_rule: {
        or_rules: { rules: ['/dex/', '/oauth2/'].map((prefix) => ({ url_path: { path: { prefix } } })) },
      },
    },
  ]
  const noHeader = { not_id: { header: { name: 'authorization', present_match: true } } }
  const noUser = {
    not_id: {
      metadata: {
        filter: 'envoy.filters.http.jwt_authn',
        path: [{ key: 'payload' }, { key: 'sub' }],
        value: { string_match: { safe_regex: { regex: '.+' } } },
      },
    },
  }
  return [
    filter('login-needed', 'filters.http.rbac.v3.RBAC', {
      shadow_rules_stat_prefix: 'istio_ext_authz_',
      shadow_rules: {
        action: 'DENY',
        policies: { 'istio-ext-authz-oauth2-proxy': { permissions: notLogin, principals: [noHeader] } },
      },
    }),
    loginFilter(),
    tokenFilter(issuers),
    filter('require-jwt', 'filters.http.rbac.v3.RBAC', {
      rules: {
        action: 'DENY',
        policies: { 'require-jwt': { permissions: notLogin, principals: [noUser] } },
      },
    }),
  ]
}

function loginFilter(): object {
  return filter('ext_authz', 'filters.http.ext_authz.v3.ExtAuthz', {
    transport_api_version: 'V3',
    allowed_headers: exact('authorization', 'cookie'),
    filter_enabled_metadata: {
      filter: 'envoy.filters.http.rbac',
      path: [{ key: 'istio_ext_authz_shadow_effective_policy_id' }],
      value: { string_match: { prefix: 'istio-ext-authz' } },
    },
    http_service: {
      server_uri: { uri: 'http://oauth2-proxy', cluster: 'login', timeout: '5s' },
      authorization_response: {
        allowed_client_headers: exact('content-type', 'set-cookie'),
        allowed_upstream_headers: exact('authorization'),
      },
    },
  })
}

function exact(...names: string[]): object {
  return { patterns: names.map((name) => ({ exact: name })) }
}

function tokenFilter(issuers: readonly TrustedIssuer[]): object {
  const provider = ({ issuer, keys, userClaim, audiences }: TrustedIssuer): object => ({
    issuer,
    ...(audiences === undefined ? {} : { audiences }),
    forward: true,
    payload_in_metadata: 'payload',
    from_headers: [{ name: 'Authorization', value_prefix: 'Bearer ' }],
    claim_to_headers: [{ header_name: 'kubeflow-userid', claim_name: userClaim }],
    ...(keys === 'unreachable'
      ? { remote_jwks: { http_uri: { uri: 'http://issuer/keys', cluster: 'down', timeout: '1s' } } }
      : { local_jwks: { inline_string: JSON.stringify(keys) } }),
  })
  const named = issuers.map((issuer, index) => [`issuer-${index}`, provider(issuer)] as const)
  const requirements = [...named.map(([name]) => ({ provider_name: name })), { allow_missing: {} }]
  return filter('envoy.filters.http.jwt_authn', 'filters.http.jwt_authn.v3.JwtAuthentication', {
    providers: Object.fromEntries(named),
    rules: [{ match: { prefix: '/' }, requires: { requires_any: { requirements } } }],
  })
}

function tlsContext({ certificate, key }: CertificateFiles, ca: string): object {
  const pair = { certificate_chain: { filename: certificate }, private_key: { filename: key } }
  return { tls_certificates: [pair], validation_context: { trusted_ca: { filename: ca } } }
}

function loopback(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } }
}
