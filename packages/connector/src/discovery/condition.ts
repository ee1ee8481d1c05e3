// Reads from an object's status whether its model can be called, and why not.
import type { Condition } from './discovered-model.ts'
import { annotationOf, listAt, shown, textAt, type UntrustedObject } from './untrusted-object.ts'

interface StatusCondition {
  readonly type: string
  readonly status: string
  readonly reason: string | undefined
  readonly message: string | undefined
}

// Conditions that cause others to be false come first, so that the first false one tells the cause.
const ORDER = [
  'PredictorReady',
  'TransformerReady',
  'ExplainerReady',
  'WorkloadsReady',
  'RouterReady',
  'IngressReady',
]
/** The types of the conditions that are read. */
export const KNOWN_CONDITIONS: readonly string[] = [...ORDER, 'Ready', 'Stopped', 'RoutesReady']
const STOP = 'serving.kserve.io/stop'

/**
 * Returns the condition of the model. `servesOldRevision`: whether the mode keeps an old revision in use if the newest
 * one fails (Knative).
 */
export function conditionOf(object: UntrustedObject, servesOldRevision: boolean): Condition {
  const conditions = conditionsOf(object)
  const ready = conditions.get('Ready')
  const isReady = ready?.status === 'True'
  const isAskedToStop = annotationOf(object, STOP) === 'true'
  // KServe 0.15 ignores the annotation in Standard mode, and its InferenceService stays ready.
  if (conditions.get('Stopped')?.status === 'True' || (isAskedToStop && !isReady)) {
    return { state: 'stopped', reason: `it is stopped (annotation ${STOP})` }
  }
  if (isReady) return { state: 'ready' }
  if (ready === undefined) {
    return { state: 'not_ready', reason: 'KServe has not reported its state yet' }
  }
  const { reason, detail } = whyNot(object, conditions)
  if (servesOldRevision && conditions.get('RoutesReady')?.status === 'True') {
    return { state: 'ready', reason: `an earlier revision is in use, because ${reason}`, ...detail }
  }
  return { state: 'not_ready', reason, ...detail }
}

function whyNot(
  object: UntrustedObject,
  conditions: ReadonlyMap<string, StatusCondition>,
): { readonly reason: string; readonly detail: { readonly detail?: string } } {
  const failure = wordAt(object, 'lastFailureInfo', 'reason')
  const failureMessage = textAt(object, 'status', 'modelStatus', 'lastFailureInfo', 'message')
  const cause = causeOf(conditions)
  const message = failureMessage ?? cause?.message ?? conditions.get('Ready')?.message
  const detail = message === undefined ? {} : { detail: shown(message) }
  if (failure !== undefined) return { reason: `its model was not loaded (${failure})`, detail }
  if (cause === undefined) return { reason: 'its condition Ready is not True', detail }
  const word = wordOf(cause.reason) ?? wordOf(conditions.get('Ready')?.reason)
  const why = word === undefined ? '' : ` (${word})`
  return { reason: `its condition ${cause.type} is ${cause.status}${why}`, detail }
}

// Only the conditions listed in ORDER, so that a status cannot put text of its own into the reason.
function causeOf(conditions: ReadonlyMap<string, StatusCondition>): StatusCondition | undefined {
  const known = ORDER.flatMap((type) => conditions.get(type) ?? [])
  return known.find(({ status }) => status !== 'True') ?? conditions.get('Ready')
}

function conditionsOf(object: UntrustedObject): ReadonlyMap<string, StatusCondition> {
  const conditions = new Map<string, StatusCondition>()
  for (const entry of listAt(object, 'status', 'conditions')) {
    const type = textAt(entry, 'type')
    const status = textAt(entry, 'status')
    if (type === undefined || status === undefined || !['True', 'False', 'Unknown'].includes(status)) continue
    conditions.set(type, { type, status, reason: textAt(entry, 'reason'), message: textAt(entry, 'message') })
  }
  return conditions
}

function wordAt(object: UntrustedObject, ...path: readonly string[]): string | undefined {
  return wordOf(textAt(object, 'status', 'modelStatus', ...path))
}

// The API of Kubernetes defines a reason as one word in CamelCase; anything else is not shown to clients.
function wordOf(text: string | undefined): string | undefined {
  return text !== undefined && /^[A-Za-z][A-Za-z0-9_]{0,63}$/.test(text) ? text : undefined
}
