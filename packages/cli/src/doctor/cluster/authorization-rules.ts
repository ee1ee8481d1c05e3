// Evaluates AuthorizationPolicies for one caller and one InferenceService, as Istio does, as far as it is needed here.
import type { KubeObject } from '@inferwire/connector'
import { dialectNames, DIALECTS, operationRoute, type DialectKind } from '@inferwire/protocol'
import { mapOf } from './inference-service.ts'
import { matchesSelector, podLabels } from './labels.ts'

/** The identity that calls the pod. */
export interface Caller {
  readonly namespace: string
  readonly account: string
}

/**
 * Returns the name of a policy that refuses the caller; undefined if none does. Rules with conditions (`when`) or for
 * certain callers by address or token do not count as permissions, because they may depend on the request.
 * https://istio.io/latest/docs/concepts/security/#implicit-enablement
 */
export function deniesCaller(
  policies: readonly KubeObject[],
  rootNamespace: string,
  service: { readonly name: string; readonly namespace: string },
  caller: Caller,
): string | undefined {
  const labels = podLabels(service)
  const applied = policies.filter(({ metadata, spec }) => {
    const { selector } = mapOf(spec)
    const isNear = metadata.namespace === service.namespace || metadata.namespace === rootNamespace
    return isNear && mapOf(spec)['targetRefs'] === undefined && matchesSelector(selector, labels)
  })
  const denying = applied.find(
    (policy) => actionOf(policy) === 'DENY' && rulesOf(policy).some((rule) => isFor(rule, caller)),
  )
  if (denying !== undefined) return nameOf(denying)
  const allowing = applied.filter((policy) => actionOf(policy) === 'ALLOW')
  if (allowing.length === 0) return undefined
  const isAllowed = allowing.some((policy) => rulesOf(policy).some((rule) => isFor(rule, caller)))
  return isAllowed ? undefined : nameOf(allowing[0]!)
}

function nameOf({ metadata }: KubeObject): string {
  return `AuthorizationPolicy ${metadata.namespace ?? ''}/${metadata.name}`
}

function actionOf({ spec }: KubeObject): unknown {
  return mapOf(spec)['action'] ?? 'ALLOW'
}

function rulesOf({ spec }: KubeObject): readonly unknown[] {
  const { rules } = mapOf(spec)
  return Array.isArray(rules) ? rules : []
}

// Probes are allowed without permission to call the model, so a rule for other paths does not count.
function isFor(rule: unknown, caller: Caller): boolean {
  const { from, to, when } = mapOf(rule)
  if (Array.isArray(when) && when.length > 0) return false
  return (
    (isAbsent(from) || (from as unknown[]).some((each) => isFrom(mapOf(each)['source'], caller))) &&
    isToModel(to)
  )
}

function isAbsent(list: unknown): boolean {
  return !Array.isArray(list) || list.length === 0
}

function isFrom(source: unknown, { namespace, account }: Caller): boolean {
  const { principals, namespaces, serviceAccounts, ...others } = mapOf(source)
  if (Object.keys(others).length > 0) return false
  return (
    matchesOne(principals, `cluster.local/ns/${namespace}/sa/${account}`) &&
    matchesOne(namespaces, namespace) &&
    matchesOne(serviceAccounts, `${namespace}/${account}`)
  )
}

// The path of one inference in each dialect.
const MODEL_PATHS = dialectNames().flatMap((dialect) => {
  const { defaultOperation, prefixes = [''] }: DialectKind = DIALECTS[dialect]
  return prefixes.map((prefix) => prefix + operationRoute(defaultOperation, dialect, 'm')!.path)
})

function isToModel(to: unknown): boolean {
  if (isAbsent(to)) return true
  return (to as unknown[]).some((each) => {
    const { paths, methods } = mapOf(mapOf(each)['operation'])
    const isPath = isAbsent(paths) || MODEL_PATHS.some((path) => matchesOne(paths, path))
    return isPath && matchesOne(methods, 'POST')
  })
}

// A pattern has `*` at its beginning or end, or is `*`. An absent list matches everything.
function matchesOne(patterns: unknown, value: string): boolean {
  if (isAbsent(patterns)) return true
  return (patterns as unknown[]).some((pattern) => {
    if (typeof pattern !== 'string') return false
    if (pattern.startsWith('*')) return value.endsWith(pattern.slice(1))
    return pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : pattern === value
  })
}
