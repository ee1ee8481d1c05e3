// Label selectors, and the labels of the pods of an InferenceService.
import { mapOf } from './inference-service.ts'

type Labels = Readonly<Record<string, string>>

/** Returns the labels that KServe gives the predictor's pods, in both deployment modes. */
export function podLabels({ name }: { readonly name: string }): Labels {
  return {
    'serving.kserve.io/inferenceservice': name,
    'serving.knative.dev/service': `${name}-predictor`,
    app: `isvc.${name}-predictor`,
    component: 'predictor',
  }
}

/** Whether labels match a selector. An empty or missing selector matches everything. */
export function matchesSelector(selector: unknown, labels: Labels): boolean {
  const { matchLabels, matchExpressions } = mapOf(selector)
  const pairs = Object.entries(mapOf(matchLabels))
  const expressions = Array.isArray(matchExpressions) ? matchExpressions.map(mapOf) : []
  return (
    pairs.every(([key, value]) => labels[key] === value) &&
    expressions.every((expression) => matchesExpression(expression, labels))
  )
}

function matchesExpression(expression: Readonly<Record<string, unknown>>, labels: Labels): boolean {
  const { key, operator, values } = expression
  const value = typeof key === 'string' ? labels[key] : undefined
  const listed = Array.isArray(values) && value !== undefined && values.includes(value)
  switch (operator) {
    case 'In':
      return listed
    case 'NotIn':
      return !listed
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
    default:
      return false
  }
}
