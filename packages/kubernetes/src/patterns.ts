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
  /** With a tag or a digest. A digest is 64 digits; "latest" is looked for apart. */
  image:
    /^[a-z0-9][a-z0-9._/-]*(?::[0-9]+\/[a-z0-9._/-]+)?(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|@sha256:[0-9a-f]{64})$/,
} as const
