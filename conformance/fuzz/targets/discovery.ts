// Target: maps objects of the Kubernetes API to models. Their content is untrusted: a tenant can write it.
import { isModelName } from '@inferwire/protocol'
import { loadConfig } from '../../../packages/connector/src/config/index.ts'
import { isRefusal, mapObject, rulesOf } from '../../../packages/connector/src/discovery/index.ts'
import { claim, words, type FuzzTarget } from '../target.ts'

const KINDS = ['InferenceService', 'InferenceGraph', 'TrainedModel', 'LLMInferenceService'] as const
const RULES = rulesOf(
  loadConfig({ env: {}, flags: { discovery: { enabled: true, namespaces: ['*'], expose: 'all' } } }),
)
const seed = (url: string, more: object = {}): Buffer =>
  Buffer.from(
    JSON.stringify({
      metadata: { name: 'a', namespace: 'b', annotations: { 'inferwire.io/timeout-ms': '10' } },
      spec: { predictor: { model: { modelFormat: { name: 'onnx' } } }, explainer: {} },
      status: {
        url,
        address: { url },
        addresses: [{ url }],
        conditions: [{ type: 'Ready', status: 'True' }],
      },
      ...more,
    }),
  )

/** Fuzzes the mapping of every kind with the same object. */
export const target: FuzzTarget = {
  name: 'discovery',
  inputBytesMax: 2048,
  seedInputs: [
    seed('http://a-predictor.b.svc.cluster.local'),
    seed('http://a.b.svc:8080'),
    seed('https://a-kserve-workload-svc.b.svc.cluster.local:8000'),
    seed('http://169.254.169.254/latest', { spec: { nodes: { root: {} }, inferenceService: 'a' } }),
  ],
  dictionary: words(
    'http:// @ .b.svc .c.svc .svc.cluster.local a-predictor %2e .. null [] {} "True" __proto__ constructor inferwire.io/model minReplicas --model_name=',
  ),
  run(input) {
    let object: unknown
    try {
      object = JSON.parse(new TextDecoder().decode(input))
    } catch {
      return 'not JSON'
    }
    if (typeof object !== 'object' || object === null || Array.isArray(object)) return 'not an object'
    return KINDS.map((kind) => outcomeOf(kind, object as Readonly<Record<string, unknown>>)).join(' ')
  },
}

function outcomeOf(kind: (typeof KINDS)[number], object: Readonly<Record<string, unknown>>): string {
  const mapping = mapObject(kind, object, RULES)
  if (mapping === 'ignored') return mapping
  if (isRefusal(mapping)) {
    claim(/^[\x20-\x7e]*$/.test(mapping.message), 'a message has characters that a log must not contain')
    return mapping.refused
  }
  const { key, name, address, traits, condition } = mapping
  claim(
    isModelName(name) && name === `${key.name}.${key.namespace}`,
    `the name "${name}" is not the object's`,
  )
  for (const url of [address?.url, traits.explainer?.url]) {
    if (url === undefined) continue
    const { hostname, username, pathname } = new URL(url)
    const own = new RegExp(`^${key.name}(?:-[a-z0-9-]*)?\\.${key.namespace}\\.svc(?:\\.cluster\\.local)?$`)
    claim(own.test(hostname), `the address "${url}" is outside of the namespace "${key.namespace}"`)
    claim(username === '' && pathname === '/', `the address "${url}" has a user or a path`)
  }
  return `${condition.state} ${mapping.options.protocolVersion ?? 'any'}`
}
