// How names and quantities may be written: for the options and for the chart's values. RE2 reads them too (Helm), so
// there is no look-ahead.

/** Patterns by what they are for. */
export const PATTERNS = {
  /** Name of objects: also the name of a Service, with room for a suffix. */
  name: /^[a-z](?:[a-z0-9-]{0,50}[a-z0-9])?$/,
  namespace: /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
  /** Name of a Secret, a GatewayClass, a host. */
  subdomain: /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/,
  quantity: /^[0-9]+(?:\.[0-9]+)?(?:[KMGT]i|[kMGT])?$/,
  /** With a tag, a digest of 64 digits, or both. "latest" without a digest is looked for apart. */
  image:
    /^[a-z0-9][a-z0-9._/-]*(?::[0-9]+\/[a-z0-9._/-]+)?(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(?:@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})$/,
  /** The addresses that only the pod itself reaches. */
  loopback: /^(?:localhost$|127\.|\[?::1\]?$)/,
  /** Name of an option that names a file. */
  fileOption: /^(?:file|[a-zA-Z]+File)$/,
  /** A file of the folders that a connector's pod can have. */
  mountedFile: /^\/(?:etc\/inferwire\/(?:config|broker)|var\/run\/secrets\/inferwire)(?:\/[^./][^/]*)+$/,
  /** Name of a user, as a line of an ACL file holds it. */
  userName: /^[^/+#:%\x00-\x1f\x7f-\x9f]{1,255}$/,
  /** Root of the topics, as a line of an ACL file holds it; what it must not begin or end with is in the next. */
  root: /^[^/+#%\x00-\x1f\x7f-\x9f]+(?:\/[^/+#%\x00-\x1f\x7f-\x9f]+)*$/,
  notRoot: /^[ $]| $/,
} as const
