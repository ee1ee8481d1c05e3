// What the checks read of an InferenceService: everything in it is untrusted.
import type { KubeObject } from '@inferwire/connector'

/** An InferenceService with the state of its models. */
export interface FoundService {
  readonly name: string
  readonly namespace: string
  readonly isReady: boolean
  /** Why it is not ready; empty if it is. */
  readonly reasons: readonly string[]
  /** Host of `status.address.url`, at which pods of the cluster reach it. */
  readonly address: string | undefined
  /** KServe's deployment mode. */
  readonly mode: 'knative' | 'standard'
  readonly isStopped: boolean
}

type Json = Readonly<Record<string, unknown>>

const TEXT_LENGTH_MAX = 300

/** Reads an object. */
export function readService({ metadata, status }: KubeObject): FoundService {
  const { conditions, address, deploymentMode, modelStatus } = mapOf(status)
  const list = Array.isArray(conditions) ? conditions.map(mapOf) : []
  const isTrue = (type: string): boolean =>
    list.some((each) => each['type'] === type && each['status'] === 'True')
  const isReady = isTrue('Ready')
  const mode = textOf(deploymentMode) || metadata.annotations?.['serving.kserve.io/deploymentMode'] || ''
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    isReady,
    reasons: isReady ? [] : reasonsOf(list, mapOf(modelStatus)),
    address: addressOf(mapOf(address)['url']),
    mode: /^(knative|serverless)$/i.test(mode) ? 'knative' : 'standard',
    isStopped: isTrue('Stopped'),
  }
}

// The failure of the model explains more than the conditions, which only say which part is not ready.
function reasonsOf(conditions: readonly Json[], modelStatus: Json): string[] {
  const failure = mapOf(modelStatus['lastFailureInfo'])
  const failed = [textOf(failure['reason']), textOf(failure['message'])].filter((text) => text !== '')
  const waiting = conditions
    .filter((each) => each['status'] !== 'True' && each['severity'] !== 'Info' && each['type'] !== 'Stopped')
    .map((each) => {
      const detail = [textOf(each['reason']), textOf(each['message'])].filter((text) => text !== '')
      return `${textOf(each['type'])}${detail.length === 0 ? '' : ` (${detail.join(': ')})`}`
    })
  return [...(failed.length === 0 ? [] : [failed.join(': ')]), ...waiting]
}

function addressOf(url: unknown): string | undefined {
  return typeof url === 'string' && URL.canParse(url) ? new URL(url).host : undefined
}

/** Returns a value if it is a JSON object, otherwise an empty one. */
export function mapOf(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {}
}

/** Returns a value if it is text, shortened; otherwise an empty text. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, TEXT_LENGTH_MAX) : ''
}
