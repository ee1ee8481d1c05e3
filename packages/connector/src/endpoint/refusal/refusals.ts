// The table of all refusals: how gateways and service meshes refuse calls, what to do, and what the connector does.
import type { ProblemCode } from '@inferwire/protocol'

/** The table entry of a refusal. */
export interface RefusalKind {
  /** The problem code that the client receives. */
  readonly code: ProblemCode
  /** The status that the client receives, if it differs from the status of `code`. */
  readonly status?: number
  /** The message for the client: no addresses, and no text of the gateway. */
  readonly sentence: string
  /** How the refusal is recognized, for the reference page. */
  readonly mark: string
  /** What the operator can do. */
  readonly remedy: string
  /**
   * - `never`: the call fails in the same way until the configuration is changed.
   * - `new-token`: as `never`, but the connector reads its token again, and repeats the call once if the token changed.
   * - `later`: the connector does not repeat the call, but the client may.
   * - `once`: the connector repeats the call once, after a second. Envoy may refuse the first call after it has started.
   * - `back-off`: the connector repeats the call within the limits of `models.*.retry`.
   * - `retry-after`: as `back-off`, if the gateway sent Retry-After.
   */
  readonly retry: 'never' | 'new-token' | 'later' | 'once' | 'back-off' | 'retry-after'
  /**
   * Whether the refusal counts as a failure of the model server. With `warm`, it counts only if the server answered
   * recently, because a model that is scaled to zero is refused in the same way while it starts.
   */
  readonly countsForCircuit: 'yes' | 'warm' | 'no'
  /** Whether the model may have run, so that a repetition may run it a second time. */
  readonly mayHaveRun: boolean
}

const TOKEN = 'The gateway in front of the model rejected the token of the connector.'
const DENIED = 'The service mesh does not allow the connector to call this model.'
const NO_ANSWER = 'The gateway in front of the model received no response from the model.'
const NO_POD = 'The gateway in front of the model cannot reach any pod of the model.'
const FULL = 'The gateway in front of the model has too many requests in flight.'

// What most refusals of a token have in common.
const AUTH = {
  code: 'unauthorized_upstream',
  countsForCircuit: 'no',
  mayHaveRun: false,
} as const

/** The refusals. The order is the order of the reference page. */
export const REFUSALS = {
  login_required: {
    ...AUTH,
    sentence: 'The gateway in front of the model requires a login.',
    mark: 'a login page with status 403 and without `x-envoy-upstream-service-time`, a redirect to a login, `401 {}`, or `Jwt is missing`',
    remedy:
      "No token arrived. Set models.*.credential, or call the model's address inside the mesh. If the credential is set, its file may be empty.",
    retry: 'new-token',
  },
  redirect: {
    code: 'upstream_invalid_response',
    sentence: 'The model server answered with a redirect.',
    mark: 'any other redirect; redirects are never followed',
    remedy: 'Check models.*.url: use the address to which the redirect leads.',
    retry: 'never',
    countsForCircuit: 'no',
    mayHaveRun: false,
  },
  token_expired: {
    ...AUTH,
    sentence: TOKEN,
    mark: '`Jwt is expired`',
    remedy:
      'The token file was not renewed in time. Check what writes it, and compare the clocks of both machines.',
    retry: 'new-token',
  },
  token_not_yet_valid: {
    ...AUTH,
    sentence: TOKEN,
    mark: '`Jwt not yet valid`',
    remedy: "The issuer's clock is more than 60 s ahead of the gateway's. Synchronize the clocks.",
    retry: 'later',
  },
  token_issuer_unknown: {
    ...AUTH,
    sentence: TOKEN,
    mark: '`Jwt issuer is not configured`',
    remedy:
      "No RequestAuthentication of the gateway names the token's issuer. For ServiceAccount tokens, install Kubeflow's overlay for machine-to-machine access, or exchange the token for one of Dex.",
    retry: 'never',
  },
  token_audience_wrong: {
    ...AUTH,
    sentence: TOKEN,
    mark: '`Audiences in Jwt are not allowed`, with status 403',
    remedy:
      "Request a token with an audience of the gateway's RequestAuthentication: `audience` of the projected volume or of the credential.",
    retry: 'never',
  },
  token_keys_unknown: {
    ...AUTH,
    sentence: "The gateway in front of the model does not have the keys of the token's issuer.",
    mark: "`Jwks doesn't have key …`, `Jwks remote fetch is failed`",
    remedy:
      "The issuer changed its keys, or the gateway cannot reach it. The gateway reads the keys again within 20 minutes. If the refusals continue, check the RequestAuthentication's jwksUri.",
    retry: 'back-off',
  },
  token_rejected: {
    ...AUTH,
    sentence: TOKEN,
    mark: 'any other text with `WWW-Authenticate: … error="invalid_token"`',
    remedy:
      'The quoted text contains the reason. The credential must be a JSON Web Token, without `Bearer` in the file.',
    retry: 'new-token',
  },
  gateway_denied: {
    ...AUTH,
    sentence: DENIED,
    mark: '`RBAC: access denied` without `x-envoy-upstream-service-time`',
    remedy:
      "No usable token reached the gateway (Kubeflow's accepts only `Bearer` and a JSON Web Token), or no route matches models.*.host. If the URL is a pod's or a Service's, an AuthorizationPolicy must allow the connector: `inferwire manifests --only kubeflow` generates it.",
    retry: 'never',
  },
  predictor_denied: {
    ...AUTH,
    sentence: DENIED,
    mark: '`RBAC: access denied` with `x-envoy-upstream-service-time`',
    remedy:
      "The gateway accepted the token, but the sidecar of the model's pod did not. Add an AuthorizationPolicy for the connector's identity to the model's namespace: `inferwire manifests --only kubeflow` generates it.",
    retry: 'once',
  },
  mesh_denied: {
    ...AUTH,
    sentence: DENIED,
    mark: '`RBAC: access denied`, and other answers show that `x-envoy-upstream-service-time` has no meaning here',
    remedy:
      "Either no usable token reached the gateway, or the model's namespace has no AuthorizationPolicy for the connector: `inferwire manifests --only kubeflow` generates it.",
    retry: 'once',
  },
  login_service_down: {
    ...AUTH,
    sentence: 'The login service of the gateway in front of the model is down.',
    mark: 'an empty 403 without a Content-Type',
    remedy:
      'Check the pods of oauth2-proxy. A call with a token does not need them, so also check models.*.credential.',
    retry: 'back-off',
    // A model server may also send such an answer.
    mayHaveRun: true,
  },
  header_too_large: {
    ...AUTH,
    sentence: 'The header fields of the call are too large for the gateway in front of the model.',
    mark: 'status 431; over HTTP/2, the stream is reset (INTERNAL_ERROR) before the first answer of the server',
    remedy: 'Use a smaller token (fewer groups), or raise the limit of the gateway (max_request_headers_kb).',
    retry: 'never',
  },
  mtls_required: {
    code: 'upstream_unreachable',
    sentence: 'The model server accepts only connections with a client certificate.',
    mark: 'a TLS alert that requires a certificate',
    remedy:
      "Set models.*.tls.certFile, or a credential of the kind mtls. In a mesh, give the connector's pod a sidecar instead (`inferwire manifests --only kubeflow`), or call the model through a gateway.",
    retry: 'never',
    countsForCircuit: 'no',
    mayHaveRun: true,
  },
  connection_closed: {
    code: 'upstream_unreachable',
    sentence: 'The model server closed the connection without an answer.',
    mark: 'the connection closes without an answer, and the server has never answered before',
    remedy:
      "The server may have crashed: see its log. Or the mesh requires mTLS (PeerAuthentication STRICT): give the connector's pod a sidecar (`inferwire manifests --only kubeflow`), or call the model through a gateway.",
    retry: 'back-off',
    countsForCircuit: 'yes',
    mayHaveRun: true,
  },
  connect_timeout: {
    code: 'upstream_unreachable',
    sentence: 'The model server cannot be reached.',
    mark: 'no connection within the time limit',
    remedy:
      "A NetworkPolicy or a firewall may drop the packets: `inferwire manifests --only kubeflow --admit-to-gateway` generates the rule for Istio's gateways. Also check the address.",
    retry: 'back-off',
    countsForCircuit: 'yes',
    mayHaveRun: false,
  },
  no_route: {
    code: 'upstream_invalid_response',
    sentence: 'The gateway has no route to the model.',
    mark: 'an empty 404 without a Content-Type',
    remedy:
      'Check models.*.host: an Istio gateway routes by the exact Host. Kubeflow also routes by path: /serving/NAMESPACE/NAME. A new InferenceService gets its route after some seconds.',
    retry: 'later',
    countsForCircuit: 'no',
    mayHaveRun: false,
  },
  no_pod: {
    code: 'upstream_unreachable',
    sentence: NO_POD,
    mark: '`no healthy upstream`, `no available server`',
    remedy: 'No pod is ready. Run `kubectl get inferenceservice`; it shows why.',
    retry: 'back-off',
    countsForCircuit: 'warm',
    mayHaveRun: false,
  },
  pod_unreachable: {
    code: 'upstream_unreachable',
    sentence: NO_POD,
    mark: '`upstream connect error …` with `connection failure` or `connection timeout`',
    remedy: "The pod refuses connections. Check that it runs, and that the Service has the server's port.",
    retry: 'back-off',
    countsForCircuit: 'warm',
    mayHaveRun: false,
  },
  tls_mismatch: {
    code: 'upstream_unreachable',
    sentence: NO_POD,
    mark: '`upstream connect error …` with `TLS_error`',
    remedy:
      'The gateway uses mTLS, but the pod does not, or their certificates do not match. Check that the pod has a sidecar, and check the DestinationRule of its host.',
    retry: 'back-off',
    countsForCircuit: 'warm',
    mayHaveRun: false,
  },
  connection_reset: {
    code: 'upstream_unreachable',
    sentence: 'The connection between the gateway and the model broke.',
    mark: '`upstream connect error …` with any other reason, such as `connection termination`',
    remedy:
      'The server crashed, or its pod requires mTLS and the gateway uses none (a DestinationRule with DISABLE, or a gateway outside the mesh). The log of the pod shows which.',
    retry: 'back-off',
    countsForCircuit: 'warm',
    mayHaveRun: true,
  },
  gateway_full: {
    code: 'overloaded',
    sentence: FULL,
    mark: '`x-envoy-overloaded`, or `upstream connect error …` with `overflow`',
    remedy:
      'Lower models.*.limits.concurrency, or raise the connectionPool of the DestinationRule. The model executed nothing.',
    retry: 'back-off',
    countsForCircuit: 'no',
    mayHaveRun: false,
  },
  queue_full: {
    code: 'overloaded',
    sentence: FULL,
    mark: '`pending request queue full` (Knative)',
    remedy: 'Use more replicas (maxReplicas), or lower models.*.limits.concurrency.',
    retry: 'retry-after',
    countsForCircuit: 'no',
    mayHaveRun: false,
  },
  rate_limited: {
    code: 'overloaded',
    sentence: 'The gateway in front of the model receives too many requests.',
    mark: 'a web page with status 429',
    remedy: "Raise the gateway's rate limit, or lower models.*.limits.concurrency.",
    retry: 'retry-after',
    countsForCircuit: 'no',
    mayHaveRun: false,
  },
  queue_timeout: {
    code: 'model_not_ready',
    sentence: 'The model did not become ready while the request waited for it.',
    mark: '503 with `context deadline exceeded` (Knative)',
    remedy:
      'The pod starts too slowly or not at all. Run `kubectl get inferenceservice`, or set `minReplicas: 1`.',
    retry: 'back-off',
    countsForCircuit: 'no',
    mayHaveRun: false,
  },
  gateway_timeout: {
    code: 'upstream_error',
    status: 504,
    sentence: 'The model did not answer within the time limit of the gateway.',
    mark: '`upstream request timeout`',
    remedy:
      "The model may still run. Raise the timeout of the route (`timeout` in the InferenceService's predictor), or lower models.*.timeoutMs.",
    retry: 'back-off',
    countsForCircuit: 'warm',
    mayHaveRun: true,
  },
  revision_timeout: {
    code: 'upstream_error',
    status: 504,
    sentence: 'The model did not answer within its own time limit.',
    mark: '504 with `request timeout` (Knative)',
    remedy:
      'The model may still run. Raise `timeout` in the predictor of the InferenceService (default 300 s; the limit is `max-revision-timeout-seconds` of Knative).',
    retry: 'back-off',
    countsForCircuit: 'warm',
    mayHaveRun: true,
  },
  gateway_error_page: {
    code: 'upstream_unreachable',
    sentence: NO_ANSWER,
    mark: 'a web page with status 502 or 504, without `x-envoy-upstream-service-time`',
    remedy: 'The gateway has no working connection to the model. Check its log, and the pod.',
    retry: 'back-off',
    countsForCircuit: 'warm',
    mayHaveRun: true,
  },
  gateway_unavailable_page: {
    code: 'upstream_unreachable',
    sentence: NO_ANSWER,
    mark: 'a web page with status 503, without `x-envoy-upstream-service-time`',
    remedy: 'The gateway has no running pod for the model. Check its log, and the pod.',
    retry: 'back-off',
    countsForCircuit: 'warm',
    mayHaveRun: true,
  },
  request_too_large: {
    code: 'upstream_error',
    status: 413,
    sentence: 'The gateway in front of the model does not accept a request of this size.',
    mark: 'a web page with status 413',
    remedy: "Raise the gateway's limit, such as client_max_body_size of nginx.",
    retry: 'never',
    countsForCircuit: 'no',
    mayHaveRun: false,
  },
  web_page: {
    code: 'upstream_invalid_response',
    sentence: "The response is a web page, not the model server's answer.",
    mark: 'any other web page, also with status 200',
    remedy:
      "Check models.*.url and models.*.host: they lead to a login page or to Kubeflow's dashboard, not to the model.",
    retry: 'never',
    countsForCircuit: 'no',
    mayHaveRun: false,
  },
} as const satisfies Record<string, RefusalKind>

/** The name of a refusal: the field `refusal` of a log line, and the label `refusal` of a metric. */
export type RefusalName = keyof typeof REFUSALS
