// Evaluates AuthorizationPolicies for one caller and one InferenceService, as Istio does, as far as it is needed here.
import type { KubeObject } from '@inferwire/connector'
import { dialectNames, DIALECTS, operationRoute, type DialectKind } from '@inferwire/protocol'
import { mapOf, textOf } from './inference-service.ts'
import { matchesSelector, podLabels } from './labels.ts'
import { allOf, anyOf, notOf, type Match } from './match.ts'

/** The identity that calls the pod. */
export interface Caller {
  readonly namespace: string
  readonly account: string
  /** The identity in Kubeflow's header; undefined for calls that do not pass the gateway, null if it is unknown. */
  readonly userId?: string | null
}

/** Whether a caller is allowed, and the policy that refuses it or cannot be judged. */
export type Verdict =
  | { readonly state: 'allowed' }
  | { readonly state: 'refused'; readonly policy: string }
  | { readonly state: 'unclear'; readonly policy: string; readonly field: string }

const ALLOWED: Verdict = { state: 'allowed' }

/**
 * Returns whether the policies allow the caller to run the model.
 * https://istio.io/latest/docs/concepts/security/#implicit-enablement
 */
export function judgeCaller(
  policies: readonly KubeObject[],
  rootNamespace: string,
  service: { readonly name: string; readonly namespace: string },
  caller: Caller,
): Verdict {
  const labels = podLabels(service)
  const applied = policies.filter(({ metadata, spec }) => {
    const { selector } = mapOf(spec)
    const isNear = metadata.namespace === service.namespace || metadata.namespace === rootNamespace
    return isNear && mapOf(spec)['targetRefs'] === undefined && matchesSelector(selector, labels)
  })
  const denying = verdicts(applied, 'DENY', caller)
  const denial = denying.find(({ match }) => match === true)
  if (denial !== undefined) return { state: 'refused', policy: denial.name }
  const allowing = verdicts(applied, 'ALLOW', caller)
  const isAllowed = allowing.length === 0 || allowing.some(({ match }) => match === true)
  const possible = isAllowed ? [...verdicts(applied, 'CUSTOM', caller), ...denying] : allowing
  for (const { name, match } of possible) {
    if (typeof match === 'string') return { state: 'unclear', policy: name, field: match }
  }
  return isAllowed ? ALLOWED : { state: 'refused', policy: allowing[0]!.name }
}

interface PolicyMatch {
  readonly name: string
  readonly match: Match
}

// The authorizer that a CUSTOM policy calls decides by itself.
function verdicts(policies: readonly KubeObject[], action: string, caller: Caller): PolicyMatch[] {
  return policies
    .filter(({ spec }) => (mapOf(spec)['action'] ?? 'ALLOW') === action)
    .map(({ metadata, spec }) => {
      const match = anyOf(listOf(mapOf(spec)['rules']).map((rule) => matchesRule(rule, caller)))
      return {
        name: `AuthorizationPolicy ${metadata.namespace ?? ''}/${metadata.name}`,
        match: action === 'CUSTOM' && match === true ? 'action: CUSTOM' : match,
      }
    })
}

// Probes are allowed without permission to call the model, so a rule for other paths does not count.
function matchesRule(rule: unknown, caller: Caller): Match {
  const { from, to, when } = mapOf(rule)
  return allOf([
    isAbsent(from) || anyOf(listOf(from).map((each) => matchesSource(mapOf(each)['source'], caller))),
    isAbsent(to) || anyOf(listOf(to).map((each) => matchesOperation(mapOf(each)['operation']))),
    ...listOf(when).map((condition) => matchesCondition(mapOf(condition), caller)),
  ])
}

function matchesSource(source: unknown, { namespace, account }: Caller): Match {
  const known: Readonly<Record<string, string>> = {
    principals: principalOf({ namespace, account }),
    namespaces: namespace,
    serviceAccounts: `${namespace}/${account}`,
  }
  return allOf(
    Object.entries(mapOf(source)).map(([field, patterns]): Match => {
      if (isAbsent(patterns)) return true
      if (Object.hasOwn(known, field)) return matchesOne(patterns, known[field]!)
      const negated = NEGATED.get(field)
      return negated === undefined ? `source.${field}` : notOf(matchesOne(patterns, known[negated]!))
    }),
  )
}

const NEGATED: ReadonlyMap<string, string> = new Map([
  ['notPrincipals', 'principals'],
  ['notNamespaces', 'namespaces'],
  ['notServiceAccounts', 'serviceAccounts'],
])

function principalOf({ namespace, account }: Caller): string {
  return `cluster.local/ns/${namespace}/sa/${account}`
}

// The path of one inference in each dialect.
const MODEL_PATHS = dialectNames().flatMap((dialect) => {
  const { defaultOperation, prefixes = [''] }: DialectKind = DIALECTS[dialect]
  return prefixes.map((prefix) => prefix + operationRoute(defaultOperation, dialect, 'm')!.path)
})

function matchesOperation(operation: unknown): Match {
  return allOf(
    Object.entries(mapOf(operation)).map(([field, patterns]): Match => {
      if (isAbsent(patterns)) return true
      if (field === 'methods') return matchesOne(patterns, 'POST')
      return field === 'paths'
        ? anyOf(MODEL_PATHS.map((path) => matchesOne(patterns, path)))
        : `operation.${field}`
    }),
  )
}

// https://istio.io/latest/docs/reference/config/security/conditions/
function matchesCondition(condition: Readonly<Record<string, unknown>>, caller: Caller): Match {
  const { key, values, notValues } = condition
  const name = textOf(key)
  const value = CONDITIONS.get(name)?.(caller)
  if (value === undefined) return `when: ${name}`
  return allOf([
    isAbsent(values) || matchesOne(values, value),
    isAbsent(notValues) || notOf(matchesOne(notValues, value)),
  ])
}

// An absent header matches no value.
const CONDITIONS: ReadonlyMap<string, (caller: Caller) => string | undefined> = new Map([
  ['source.namespace', ({ namespace }: Caller) => namespace],
  ['source.principal', principalOf],
  ['source.serviceAccount', ({ namespace, account }: Caller) => `${namespace}/${account}`],
  [
    'request.headers[kubeflow-userid]',
    ({ userId }: Caller) => (userId === null ? undefined : (userId ?? '')),
  ],
])

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function isAbsent(list: unknown): boolean {
  return !Array.isArray(list) || list.length === 0
}

// A pattern has `*` at its beginning or end, or is `*`, which matches every value that is present.
function matchesOne(patterns: unknown, value: string): Match {
  return anyOf(
    listOf(patterns).map((pattern): Match => {
      if (typeof pattern !== 'string') return false
      if (pattern.includes('{*')) return 'a path template'
      if (pattern === '*') return value !== ''
      if (pattern.startsWith('*')) return value.endsWith(pattern.slice(1))
      return pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : pattern === value
    }),
  )
}
