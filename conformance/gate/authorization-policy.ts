// Renders AuthorizationPolicies as rules of Envoy's RBAC filter, in the way that Istio does for a pod's sidecar.
// Limits: only the fields below; a policy with any other field is an error, so that no condition is ignored.

/** The fields of an AuthorizationPolicy (security.istio.io/v1) that are rendered. */
export interface AuthorizationPolicy {
  readonly metadata: { readonly name: string; readonly namespace?: string }
  readonly spec: {
    readonly selector?: { readonly matchLabels: Readonly<Record<string, string>> }
    /** @default ALLOW */
    readonly action?: 'ALLOW' | 'DENY'
    readonly rules?: readonly PolicyRule[]
  }
}

/** All members of a rule must match; of each list, one value. */
export interface PolicyRule {
  readonly from?: readonly { readonly source: PolicySource }[]
  readonly to?: readonly { readonly operation: PolicyOperation }[]
  readonly when?: readonly { readonly key: string; readonly values: readonly string[] }[]
}

interface PolicySource {
  readonly principals?: readonly string[]
  readonly namespaces?: readonly string[]
}

interface PolicyOperation {
  readonly paths?: readonly string[]
  readonly methods?: readonly string[]
}

const KNOWN = {
  spec: ['selector', 'action', 'rules'],
  rule: ['from', 'to', 'when'],
  source: ['principals', 'namespaces'],
  operation: ['paths', 'methods'],
} as const

/** Returns the rules of an RBAC filter with this action; without a policy, ALLOW rules deny every request. */
export function rbacRules(policies: readonly AuthorizationPolicy[], action: 'ALLOW' | 'DENY'): object {
  const chosen = policies.filter(({ spec }) => (spec.action ?? 'ALLOW') === action)
  const rendered = chosen.flatMap(({ metadata, spec }) => {
    check(spec, 'spec', metadata.name)
    // A policy without rules matches no request.
    return (spec.rules ?? []).map((rule, index) => {
      check(rule, 'rule', metadata.name)
      return [
        `ns[${metadata.namespace}]-policy[${metadata.name}]-rule[${index}]`,
        policyOf(rule, metadata.name),
      ]
    })
  })
  return { action, policies: Object.fromEntries(rendered) as object }
}

/** Returns whether the policy applies to a pod with these labels. */
export function selects({ spec }: AuthorizationPolicy, labels: Readonly<Record<string, string>>): boolean {
  const wanted = Object.entries(spec.selector?.matchLabels ?? {})
  return wanted.every(([name, value]) => labels[name] === value)
}

function policyOf({ from, to, when = [] }: PolicyRule, name: string): object {
  const sources = from?.map(({ source }) => {
    check(source, 'source', name)
    return all([
      any(source.principals?.map((value) => ({ authenticated: { principal_name: principal(value) } }))),
      any(source.namespaces?.map((value) => ({ authenticated: { principal_name: ofNamespace(value) } }))),
    ])
  })
  const operations = to?.map(({ operation }) => {
    check(operation, 'operation', name)
    return permissionAll([
      permissionAny(operation.paths?.map((value) => ({ url_path: { path: pattern(value) } }))),
      permissionAny(
        operation.methods?.map((value) => ({ header: { name: ':method', string_match: pattern(value) } })),
      ),
    ])
  })
  const conditions = when.map(({ key, values }) => {
    const header = /^request\.headers\[(.+)\]$/.exec(key)?.[1]
    if (header === undefined) throw new Error(`AuthorizationPolicy "${name}": "${key}" is not rendered.`)
    return any(values.map((value) => ({ header: { name: header, string_match: pattern(value) } })))
  })
  return { permissions: [permissionAny(operations)], principals: [all([any(sources), ...conditions])] }
}

function check(value: object, kind: keyof typeof KNOWN, name: string): void {
  const known: readonly string[] = KNOWN[kind]
  const unknown = Object.keys(value).filter((key) => !known.includes(key))
  if (unknown.length === 0) return
  throw new Error(`AuthorizationPolicy "${name}": ${kind}.${unknown.join(', ')} is not rendered.`)
}

// A principal in a policy is the SPIFFE URI without its scheme.
function principal(value: string): object {
  if (value === '*') return pattern(value)
  return value.startsWith('*') ? pattern(value) : pattern(`spiffe://${value}`)
}

function ofNamespace(value: string): object {
  return { safe_regex: { regex: `.*/ns/${value.replaceAll('*', '.*')}/.*` } }
}

// `*` at the beginning or the end of a value matches any text.
function pattern(value: string): object {
  if (value === '*') return { safe_regex: { regex: '.+' } }
  if (value.startsWith('*')) return { suffix: value.slice(1) }
  return value.endsWith('*') ? { prefix: value.slice(0, -1) } : { exact: value }
}

function any(ids: readonly object[] | undefined): object {
  return ids === undefined ? { any: true } : { or_ids: { ids } }
}

function all(ids: readonly object[]): object {
  return { and_ids: { ids } }
}

function permissionAny(rules: readonly object[] | undefined): object {
  return rules === undefined ? { any: true } : { or_rules: { rules } }
}

function permissionAll(rules: readonly object[]): object {
  return { and_rules: { rules } }
}
