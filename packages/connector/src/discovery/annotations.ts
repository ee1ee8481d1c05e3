// Reads the annotations by which an object's owner decides whether and how its model is exposed.
import { isServerModelName, protocolVersions, type ProtocolVersion } from '@inferwire/protocol'
import type { ObjectKey, Refusal } from './discovered-model.ts'
import { annotationOf, labelOf, shown, type UntrustedObject } from './untrusted-object.ts'

const PREFIX = 'inferwire.io/'
/** Longest deadline that an annotation or a specification can set: the default limit of Knative's revisions. */
export const TIMEOUT_MAX_MS = 600_000

/** The values of the annotations. */
export interface Annotations {
  readonly model?: string
  readonly protocolVersion?: ProtocolVersion
  readonly timeoutMs?: number
  readonly credential?: string
}

/** Returns whether the object asks to be exposed. The label works like the annotation; the annotation has priority. */
export function exposeChoice(key: ObjectKey, object: UntrustedObject): 'yes' | 'no' | 'unset' | Refusal {
  const annotation = annotationOf(object, `${PREFIX}expose`)
  const value = annotation ?? labelOf(object, `${PREFIX}expose`)
  if (value === undefined) return 'unset'
  if (value === 'true') return 'yes'
  if (value === 'false') return 'no'
  return wrong(key, 'expose', value, '"true" or "false"', annotation === undefined ? 'label' : 'annotation')
}

/** Reads the other annotations. */
export function readAnnotations(key: ObjectKey, object: UntrustedObject): Annotations | Refusal {
  const read = (name: string): string | undefined => annotationOf(object, PREFIX + name)
  const model = read('model')
  if (model !== undefined && !isServerModelName(model)) {
    return wrong(key, 'model', model, 'the name of a model on its server, such as iris')
  }
  const version = read('protocol-version')
  const protocolVersion = protocolVersions().find((each) => each === version)
  if (version !== undefined && protocolVersion === undefined) {
    return wrong(key, 'protocol-version', version, protocolVersions().join(', '))
  }
  const timeout = read('timeout-ms')
  const timeoutMs = timeout !== undefined && /^[1-9][0-9]{0,8}$/.test(timeout) ? Number(timeout) : undefined
  if (timeout !== undefined && (timeoutMs === undefined || timeoutMs > TIMEOUT_MAX_MS)) {
    return wrong(key, 'timeout-ms', timeout, `a whole number from 1 to ${TIMEOUT_MAX_MS}`)
  }
  const credential = read('credential')
  return {
    ...(model === undefined ? {} : { model }),
    ...(protocolVersion === undefined ? {} : { protocolVersion }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(credential === undefined ? {} : { credential }),
  }
}

function wrong(
  { kind, namespace, name }: ObjectKey,
  option: string,
  value: string,
  expected: string,
  place: 'annotation' | 'label' = 'annotation',
): Refusal {
  return {
    refused: 'annotation',
    message: `The ${place} ${PREFIX}${option} of ${kind} "${namespace}/${name}" is "${shown(value)}"; expected ${expected}. Correct it: kubectl ${place === 'label' ? 'label' : 'annotate'} ${kind.toLowerCase()} ${name} -n ${namespace} --overwrite ${PREFIX}${option}=VALUE`,
  }
}
