// Groups the operations that have the same decision.
import type { PolicyExplanation } from '@inferwire/connector'
import type { OperationName } from '@inferwire/protocol'
import type { PolicyDecision } from './policy-report.ts'
import type { RuleSource } from './rule-sources.ts'

/** Returns one decision for each group of operations, in the order of the operations. */
export function toDecisions(
  explained: readonly (readonly [OperationName, PolicyExplanation])[],
  sourceOf: RuleSource,
): PolicyDecision[] {
  const groups = new Map<string, { operations: string[]; explanation: PolicyExplanation }>()
  for (const [operation, explanation] of explained) {
    const key = JSON.stringify(explanation)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { operations: [operation], explanation })
    else group.operations.push(operation)
  }
  return [...groups.values()].map(({ operations, explanation }) =>
    toDecision(operations, explanation, sourceOf),
  )
}

function toDecision(
  operations: readonly string[],
  explanation: PolicyExplanation,
  sourceOf: RuleSource,
): PolicyDecision {
  if (!explanation.isAllowed) {
    const { code, reason, nearest } = explanation
    const rules = nearest.map(({ path, mismatch }) => ({ path, source: sourceOf(path), mismatch }))
    return { operations, allowed: false, rules, code, reason }
  }
  const { rules, priorityMax } = explanation
  return {
    operations,
    allowed: true,
    rules: rules.map(({ path, requestBytesMax, rate }) => ({
      path,
      source: sourceOf(path),
      request_bytes_max: requestBytesMax,
      requests_per_second: rate?.requestsPerSecond,
      burst: rate?.burst,
    })),
    priority_max: priorityMax,
    reason: rules.length === 0 ? 'the configuration has no policy' : `${countOf(rules.length)} the operation`,
  }
}

function countOf(rules: number): string {
  return rules === 1 ? '1 rule allows' : `${rules} rules allow`
}
