// The syntax of names and quantities, for the options and for the chart's values. Helm uses RE2, which does not support
// look-ahead.

/** Patterns by purpose. */
export const PATTERNS = {
  /** Name of objects, including a Service. It is short enough that a suffix can be appended. */
  name: /^[a-z](?:[a-z0-9-]{0,50}[a-z0-9])?$/,
  namespace: /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
  /** Name of a Secret, a GatewayClass or a host. */
  subdomain: /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/,
  quantity: /^[0-9]+(?:\.[0-9]+)?(?:[KMGT]i|[kMGT])?$/,
  /** Image with a tag, a digest of 64 digits, or both. A separate check rejects "latest". */
  image:
    /^[a-z0-9][a-z0-9._/-]*(?::[0-9]+\/[a-z0-9._/-]+)?(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(?:@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})$/,
  /** Addresses that are reachable only from within the pod. */
  loopback: /^(?:localhost$|127\.|\[?::1\]?$)/,
  /** Name of a configuration option whose value is a path. */
  fileOption: /^[a-zA-Z]+File$/,
  /** Mount path of a volume: an absolute path without "." and ".." levels. */
  mountPath: /^(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$/,
  brokerUrl: /^(?:mqtts?|wss?):\/\//,
  modelUrl: /^https?:\/\//,
  /** A tag that is not "latest", optionally with a digest. */
  imageTag: /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(?:@sha256:[0-9a-f]{64})?$/,
  imageRepository: /^[a-z0-9][a-z0-9._/-]*(?::[0-9]+\/[a-z0-9._/-]+)?$/,
  /** Memory in whole MiB or GiB. */
  memory: /^[1-9][0-9]{0,6}(?:Mi|Gi)$/,
  /** Name of a user in an ACL file. */
  userName: /^[^/+#:%\x00-\x1f\x7f-\x9f]{1,255}$/,
  /** Root of the topics in an ACL file. The root must also not match `notRoot`. */
  root: /^[^/+#%\x00-\x1f\x7f-\x9f]+(?:\/[^/+#%\x00-\x1f\x7f-\x9f]+)*$/,
  notRoot: /^[ $]| $/,
} as const
