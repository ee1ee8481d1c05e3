// The error texts that gateways send, over HTTP and gRPC, if a model has no reachable pod.

/** Texts of Envoy (Istio) and Traefik, without Envoy's `overflow`: it means that a pod exists, but is full. */
export const NO_SERVER =
  /^(?:no healthy upstream|upstream connect error(?!.*reset reason: overflow)|no available server)/

/** Envoy's text if the model did not answer within the time that the route allows. */
export const GATEWAY_TIMEOUT = /^upstream request timeout/

/** Envoy's texts that prove that the request reached no pod. */
export const NEVER_SENT = /^no |reset reason: .*(?:connection failure|connection timeout)/
