// Explains the policy's decision about a client, a model and an operation, for `inferwire policy test`.
import type { OperationName } from '@inferwire/protocol'
import { Policy, PolicyRule, type AllowRule } from './admission/index.ts'
import type { ConnectorConfig } from './config/index.ts'

/** A rule that allows the request. */
export interface AllowingRule {
  /** The place in the configuration, such as `policy.allow[2]`. */
  readonly path: string
  /** The largest body that the rule allows, in bytes; undefined = no limit other than the model's. */
  readonly requestBytesMax: number | undefined
  /** The rate that the rule allows to the client; undefined = no limit. */
  readonly rate: { readonly requestsPerSecond: number; readonly burst: number } | undefined
}

/** The decision, with its reasons. */
export type PolicyExplanation = AllowedByPolicy | DeniedByPolicy

/** The client may use the operation. */
export interface AllowedByPolicy {
  readonly isAllowed: true
  /** The rules that allow it; empty if the configuration has no policy. */
  readonly rules: readonly AllowingRule[]
  readonly priorityMax: number
}

/** The client may not use the operation. */
export interface DeniedByPolicy {
  readonly isAllowed: false
  /** The code of the answer to a request. */
  readonly code: 'model_not_found' | 'operation_not_supported' | 'forbidden_model'
  /** Why no rule allows it. */
  readonly reason: string
  /** The rules that match as much as any rule: model and client, or only the client; empty if none does. */
  readonly nearest: readonly { readonly path: string; readonly mismatch: string }[]
}

const LISTED_MAX = 5

/** Returns the decision that the connector makes with this configuration, whether or not the model is configured. */
export function explainPolicy(
  { policy: section }: Pick<ConnectorConfig, 'policy'>,
  client: string,
  model: string,
  operation: OperationName,
): PolicyExplanation {
  const policy = new Policy(section?.allow)
  const allow = section?.allow ?? []
  const byClient = prepared(allow).filter(({ rule }) => rule.matchesClient(client))
  const byModel = byClient.filter(({ rule }) => rule.matchesModel(model))
  if (policy.shows(client, model, operation)) {
    const { priorityMax } = policy.grant(client, model, operation)
    const rules = byModel.filter(({ rule }) => rule.matchesOperation(operation))
    return { isAllowed: true, rules: rules.map(({ rule }) => allowing(rule)), priorityMax }
  }
  const code =
    section?.showForbidden === true
      ? 'forbidden_model'
      : byModel.length === 0
        ? 'model_not_found'
        : 'operation_not_supported'
  return { isAllowed: false, code, ...reasonOf(allow, byClient, byModel) }
}

interface PreparedRule {
  readonly rule: PolicyRule
  readonly written: AllowRule
}

function prepared(allow: readonly AllowRule[]): PreparedRule[] {
  return allow.map((written, index) => ({ rule: new PolicyRule(written, index), written }))
}

function allowing({ path, requestBytesMax, rate }: PolicyRule): AllowingRule {
  return {
    path,
    requestBytesMax: requestBytesMax === Infinity ? undefined : requestBytesMax,
    rate: rate === undefined ? undefined : { requestsPerSecond: rate.requestsPerSecond, burst: rate.burst },
  }
}

function reasonOf(
  allow: readonly AllowRule[],
  byClient: readonly PreparedRule[],
  byModel: readonly PreparedRule[],
): Pick<DeniedByPolicy, 'reason' | 'nearest'> {
  if (allow.length === 0) return { reason: 'policy.allow is empty', nearest: [] }
  if (byClient.length === 0) return { reason: 'no rule matches the client', nearest: [] }
  if (byModel.length === 0) {
    return {
      reason: 'no rule that matches the client matches the model',
      nearest: nearest(byClient, ({ models }) => `matches the client, but its models are ${listed(models)}`),
    }
  }
  return {
    reason: 'no rule that matches the client and the model allows the operation',
    nearest: nearest(
      byModel,
      ({ operations = [] }) =>
        `matches the client and the model, but its operations are ${listed(operations)}`,
    ),
  }
}

function nearest(
  rules: readonly PreparedRule[],
  mismatch: (written: AllowRule) => string,
): DeniedByPolicy['nearest'] {
  return rules
    .slice(0, LISTED_MAX)
    .map(({ rule, written }) => ({ path: rule.path, mismatch: mismatch(written) }))
}

function listed(names: readonly string[]): string {
  const rest = names.length > LISTED_MAX ? `, and ${names.length - LISTED_MAX} more` : ''
  return `${names.slice(0, LISTED_MAX).join(', ')}${rest}`
}
