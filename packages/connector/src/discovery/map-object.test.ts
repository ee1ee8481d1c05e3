// Maps statuses that KServe's controller wrote, and objects that a tenant forged.
import { describe, expect, test } from 'vitest'
import type { ConfigInput } from '../config/index.ts'
import { isRefusal, type DiscoveredModel, type Refusal } from './discovered-model.ts'
import { mapObject } from './map-object.ts'
import {
  chain,
  extra,
  FAILED_LOAD,
  iris,
  irisWith,
  NEVER_READY,
  NOT_READY_STANDARD,
  READY_KNATIVE,
  READY_STANDARD,
  READY_TRAINED_MODEL,
  REVISION_FAILED,
  STOPPED,
} from './testing/recorded-objects.ts'
import { rules } from './testing/rules.ts'
import type { UntrustedObject } from './untrusted-object.ts'

type Section = NonNullable<ConfigInput['discovery']>

function modelOf(object: UntrustedObject, section: Section = {}): DiscoveredModel {
  const mapped = mapObject('InferenceService', object, rules(section))
  if (mapped === 'ignored' || isRefusal(mapped)) throw new Error(JSON.stringify(mapped))
  return mapped
}

function refusalOf(object: UntrustedObject, section: Section = {}): Refusal {
  const mapped = mapObject('InferenceService', object, rules(section))
  if (!isRefusal(mapped)) throw new Error(`It was not refused: ${JSON.stringify(mapped)}`)
  return mapped
}

const withModel = (model: object, predictor: object = {}): UntrustedObject =>
  iris({ spec: { predictor: { ...predictor, model } } })
const withAddress = (url: unknown): UntrustedObject =>
  iris({ status: { ...READY_STANDARD, address: { url } } })

test('a ready InferenceService gets its address, its name and its options', () => {
  expect(modelOf(iris())).toMatchObject({
    key: { kind: 'InferenceService', namespace: 'models', name: 'iris' },
    name: 'iris.models',
    condition: { state: 'ready' },
    address: { url: 'http://iris-predictor.models.svc.cluster.local', host: undefined },
    options: {
      modelName: 'iris',
      protocolVersion: undefined,
      timeoutMs: 30_000,
      batching: 'off',
      lane: false,
    },
    traits: { queries: 'usual' },
  })
})

describe('the condition', () => {
  test.each([
    ['not_ready', undefined, 'KServe has not reported its state yet'],
    ['not_ready', NEVER_READY, 'its condition PredictorReady is Unknown'],
    ['not_ready', NOT_READY_STANDARD, 'its condition PredictorReady is False (MinimumReplicasUnavailable)'],
    ['not_ready', FAILED_LOAD, 'its model was not loaded (ModelLoadFailed)'],
    ['not_ready', { ...READY_STANDARD, address: undefined }, 'KServe has not reported its address yet'],
    ['stopped', STOPPED, 'it is stopped (annotation serving.kserve.io/stop)'],
    [
      'ready',
      REVISION_FAILED,
      'an earlier revision is in use, because its condition PredictorReady is False (RevisionFailed)',
    ],
    ['ready', READY_KNATIVE, undefined],
  ])('is %s for the recorded status, with the reason', (state, status, reason) => {
    const { condition, address } = modelOf(iris({ status }))
    expect(condition.state).toBe(state)
    expect(condition.reason).toBe(reason)
    // A failed load names the bucket, which is only for the log.
    expect(JSON.stringify(condition.reason ?? '')).not.toContain('bucket')
    expect(address !== undefined || state !== 'ready').toBe(true)
  })

  test('is ready in Standard mode of KServe 0.15, which ignores the annotation stop', () => {
    expect(modelOf(irisWith({ 'serving.kserve.io/stop': 'true' })).condition).toEqual({ state: 'ready' })
    const stopping = irisWith({ 'serving.kserve.io/stop': 'true' }, { status: NOT_READY_STANDARD })
    expect(modelOf(stopping).condition.state).toBe('stopped')
  })

  test('does not show text of the status to clients', () => {
    const text = 'secret path /etc/shadow'
    const status = {
      conditions: [
        { type: 'Ready', status: 'False', reason: text, message: text },
        { type: `PredictorReady ${text}`, status: 'False', reason: text },
        { type: 'PredictorReady', status: 'False', reason: text, message: text },
      ],
      modelStatus: { lastFailureInfo: { reason: text, message: text } },
    }
    const { condition } = modelOf(iris({ status }))
    expect(condition.reason).toBe('its condition PredictorReady is False')
    expect(condition.detail).toBe(text)
  })
})

describe('an object is exposed', () => {
  const choices: [boolean, Section['expose'], Record<string, string>, Record<string, string>][] = [
    [false, 'opt-in', {}, {}],
    [true, 'opt-in', { 'inferwire.io/expose': 'true' }, {}],
    [true, 'opt-in', {}, { 'inferwire.io/expose': 'true' }],
    [false, 'opt-in', { 'inferwire.io/expose': 'false' }, { 'inferwire.io/expose': 'true' }],
    [true, 'all', {}, {}],
    [false, 'all', { 'inferwire.io/expose': 'false' }, {}],
  ]
  test.each(choices)('%s: expose %s, annotations %j, labels %j', (isExposed, expose, annotations, labels) => {
    const object = iris({ metadata: { annotations, labels } })
    expect(mapObject('InferenceService', object, rules({ expose })) !== 'ignored').toBe(isExposed)
  })

  test('until its deletion begins, although it is still reported as ready', () => {
    const object = iris({ metadata: { deletionTimestamp: '2026-11-30T10:00:00Z' } })
    expect(mapObject('InferenceService', object, rules({ expose: 'all' }))).toBe('ignored')
  })
})

describe('the name', () => {
  test('contains the namespace, except in the default namespace or with an alias of the operator', () => {
    expect(modelOf(iris()).name).toBe('iris.models')
    expect(modelOf(iris(), { defaultNamespace: 'models' }).name).toBe('iris')
    expect(modelOf(iris(), { aliases: { flowers: 'models/iris' } }).name).toBe('flowers')
    expect(modelOf(iris(), { aliases: { flowers: 'vision/iris' } }).name).toBe('iris.models')
  })

  test.each(['iris.vision', '../x', 'Iris', 'a/b', '', 'a@1', '#', 'x'.repeat(64), 7, null, '__proto__'])(
    'is refused for an object called %j',
    (name) => {
      const { refused, message } = refusalOf(
        iris({ metadata: { name, labels: { 'inferwire.io/expose': 'true' } } }),
      )
      expect(refused).toBe('name')
      expect(message).toMatch(/^[\x20-\x7e]+$/)
    },
  )
})

describe('the address', () => {
  test.each([
    'http://iris.models.svc.cluster.local',
    'http://iris-predictor.models.svc.cluster.local',
    'http://iris-transformer.models.svc',
    'http://iris-predictor.models.svc.cluster.local:8080',
    'https://iris-predictor.models.svc.cluster.local/',
  ])('may be %s', (url) => {
    expect(modelOf(withAddress(url)).address).toEqual({ url: url.replace(/\/$/, ''), host: undefined })
  })

  test.each([
    ['another namespace', 'http://iris-predictor.secrets.svc.cluster.local'],
    ['another namespace behind its own', 'http://iris.models.svc.cluster.local.secrets.svc.cluster.local'],
    ['another object of its namespace', 'http://rose-predictor.models.svc.cluster.local'],
    ['another domain', 'http://iris.models.svc.attacker.example'],
    ['an external host', 'http://attacker.example'],
    ['a host without a namespace', 'http://iris'],
    ['the API server', 'https://kubernetes.default.svc'],
    ['the metadata server', 'http://169.254.169.254'],
    ['an IPv6 address', 'http://[fe80::1]'],
    ['a number', 'http://2852039166'],
    ['the loopback', 'http://localhost:8383'],
    ['user information', 'http://iris.models.svc.cluster.local@attacker.example'],
    ['a password', 'http://a:b@iris.models.svc.cluster.local'],
    ['a path', 'http://iris.models.svc.cluster.local/v1/models/other:predict#'],
    ['a plain path', 'http://iris.models.svc.cluster.local/admin'],
    ['a query', 'http://iris.models.svc.cluster.local?x'],
    ['another port', 'http://iris.models.svc.cluster.local:22'],
    ['a port outside the range', 'http://iris.models.svc.cluster.local:99999'],
    ['another scheme', 'ftp://iris.models.svc.cluster.local'],
    ['a file', 'file:///etc/passwd'],
    ['a line break', 'http://iris.models.svc.cluster.local\r\nx: y'],
    ['a space', ' http://iris.models.svc.cluster.local'],
    ['capitals', 'http://IRIS.models.svc.cluster.local'],
    ['a percent sign', 'http://iris%2emodels.svc.cluster.local'],
    ['a trailing dot', 'http://iris.models.svc.cluster.local.'],
    ['unicode', 'http://iris。models.svc.cluster.local'],
  ])('is refused if it has %s', (_what, url) => {
    const { refused, message } = refusalOf(withAddress(url))
    expect(refused).toBe('address')
    expect(message).toContain('InferenceService "models/iris"')
    expect(message).toMatch(/^[\x20-\x7e]+$/)
  })

  test.each([undefined, null, 7, {}, []])('is unknown if the status has %j', (url) => {
    expect(modelOf(withAddress(url)).condition.state).toBe('not_ready')
  })

  test('may have another domain if the operator configures it', () => {
    const url = 'http://iris.models.svc.corp.internal'
    expect(refusalOf(withAddress(url)).message).toContain('discovery.clusterDomain')
    expect(modelOf(withAddress(url), { clusterDomain: 'corp.internal' }).address?.url).toBe(url)
  })
})

const withUrl = (url: string): UntrustedObject => iris({ status: { ...READY_STANDARD, url } })

describe('behind a gateway', () => {
  const gateway = { url: 'https://gateway.example:8443', domain: 'example.com' }

  test.each([
    ['http://iris-models.example.com', 'https://gateway.example:8443', 'iris-models.example.com'],
    ['http://iris.models.example.com', 'https://gateway.example:8443', 'iris.models.example.com'],
    [
      'https://iris-predictor.models.example.com/',
      'https://gateway.example:8443',
      'iris-predictor.models.example.com',
    ],
    [
      'http://example.com/serving/models/iris',
      'https://gateway.example:8443/serving/models/iris',
      'example.com',
    ],
  ])('%s is called at %s with the Host %s', (url, address, host) => {
    expect(modelOf(withUrl(url), { gateway }).address).toEqual({ url: address, host })
  })

  test('gRPC cannot be called below a path', () => {
    const object = irisWith(
      { 'inferwire.io/protocol-version': 'grpc-v2' },
      { status: { ...READY_STANDARD, url: 'http://example.com/serving/models/iris' } },
    )
    expect(refusalOf(object, { gateway }).refused).toBe('protocol')
  })

  test.each([
    'http://secret-other.example.com',
    'http://iris-models.example.com.attacker.example',
    'http://iris-models.attacker.example',
    'http://example.com/serving/other/secret',
    'http://example.com/serving/../other/secret/models/iris',
    'http://attacker.example/serving/models/iris',
    'http://iris-models.example.com:22/x',
    'http://example.com',
  ])('%s is refused', (url) => {
    expect(refusalOf(withUrl(url), { gateway }).refused).toBe('address')
  })
})

const container = (env: object[], ports: object[] = []): UntrustedObject =>
  iris({ spec: { predictor: { containers: [{ env, ports }] } } })

describe('the protocol', () => {
  const h2c = [{ name: 'h2c', containerPort: 9000 }]
  test.each([
    ['the server is queried', undefined, { modelFormat: { name: 'sklearn' } }],
    ['as stated', 'v2', { modelFormat: { name: 'sklearn' }, protocolVersion: 'v2' }],
    ['as stated', 'v1', { modelFormat: { name: 'tensorflow' }, protocolVersion: 'v1' }],
    ['the server has more', undefined, { modelFormat: { name: 'huggingface' }, protocolVersion: 'v2' }],
    [
      'grpc needs its port',
      'grpc-v2',
      { modelFormat: { name: 'triton' }, protocolVersion: 'grpc-v2', ports: h2c },
    ],
    ['port 80 leads to HTTP', 'v2', { modelFormat: { name: 'triton' }, protocolVersion: 'grpc-v2' }],
    ['the port is gRPC', 'grpc-v2', { modelFormat: { name: 'triton' }, protocolVersion: 'v2', ports: h2c }],
  ])('%s: %s', (_why, version, model) => {
    expect(modelOf(withModel(model)).options.protocolVersion).toBe(version)
  })

  test.each(['grpc-v1', 'v3', 'openai-responses'])('"%s" is refused', (protocolVersion) => {
    const ports = protocolVersion === 'grpc-v1' ? h2c : []
    expect(refusalOf(withModel({ protocolVersion, ports })).refused).toBe('protocol')
  })

  test('of a custom container is that of its environment and its port', () => {
    const named = [{ name: 'PROTOCOL', value: 'v2' }]
    expect(modelOf(container(named)).options.protocolVersion).toBe('v2')
    expect(modelOf(container([], h2c)).options.protocolVersion).toBe('grpc-v2')
    expect(modelOf(container([])).options.protocolVersion).toBeUndefined()
  })

  test('is never asked of a server that is scaled to zero', () => {
    const knative = { status: READY_KNATIVE, metadata: {} }
    const cold = iris({
      ...knative,
      spec: { predictor: { minReplicas: 0, model: { modelFormat: { name: 'sklearn' } } } },
    })
    expect(modelOf(cold)).toMatchObject({
      options: { protocolVersion: 'v1' },
      traits: { queries: 'when-awake' },
    })
    const stated = iris({
      ...knative,
      spec: {
        predictor: { minReplicas: 0, model: { modelFormat: { name: 'huggingface' }, protocolVersion: 'v2' } },
      },
    })
    expect(modelOf(stated)).toMatchObject({
      options: { protocolVersion: 'v2' },
      traits: { queries: 'when-awake' },
    })
    // In Standard mode, the autoscaler keeps one pod.
    expect(modelOf({ ...cold, status: READY_STANDARD })).toMatchObject({
      options: { protocolVersion: undefined },
      traits: { queries: 'usual' },
    })
  })
})

describe("the model's name on the server", () => {
  test.each([
    ['iris', {}],
    ['flowers', { args: ['--model_name=flowers', '--http_port=8080'] }],
    ['flowers', { args: ['--model-name', 'flowers'] }],
    ['iris', { args: ['--model_name=$(NAME)'] }],
    ['iris', { args: ['--model_name'] }],
    ['by-env', { args: ['--model_name=flowers'], env: [{ name: 'MLSERVER_MODEL_NAME', value: 'by-env' }] }],
  ])('is %s for %j', (modelName, model) => {
    expect(modelOf(withModel(model)).options.modelName).toBe(modelName)
  })

  test('is that of the transformer, or of the annotation', () => {
    const spec = {
      transformer: { containers: [{ args: ['--model_name=outer'] }] },
      predictor: { model: { args: ['--model_name=inner'] } },
    }
    expect(modelOf(iris({ spec })).options.modelName).toBe('outer')
    const object = irisWith({ 'inferwire.io/model': 'facebook/opt' }, { spec })
    expect(modelOf(object).options.modelName).toBe('facebook/opt')
  })

  test('may contain a slash only where the paths of the protocol do not contain it', () => {
    const annotations = { 'inferwire.io/model': 'a/b' }
    expect(
      modelOf(irisWith({ ...annotations, 'inferwire.io/protocol-version': 'openai' })).options.modelName,
    ).toBe('a/b')
    expect(refusalOf(irisWith({ ...annotations, 'inferwire.io/protocol-version': 'v1' })).refused).toBe(
      'name',
    )
  })

  test.each(['../../admin', 'a?b', 'a b', 'a\r\nb', '%2e%2e'])('"%s" is refused', (name) => {
    expect(refusalOf(withModel({ args: [`--model_name=${name}`] })).refused).toBe('name')
    expect(refusalOf(irisWith({ 'inferwire.io/model': name })).refused).toBe('annotation')
  })
})

describe('the options', () => {
  test('come from the annotations, then from the specification, then from the operator', () => {
    const spec = { predictor: { timeout: 120, model: {} } }
    const section: Section = { defaults: { timeoutMs: 7_000, batching: 'auto', limits: { concurrency: 3 } } }
    expect(modelOf(iris(), section).options).toMatchObject({
      timeoutMs: 7_000,
      batching: 'auto',
      limits: { concurrency: 3 },
    })
    expect(modelOf(iris({ spec }), section).options.timeoutMs).toBe(120_000)
    const annotated = irisWith(
      { 'inferwire.io/timeout-ms': '90', 'inferwire.io/protocol-version': 'v1' },
      { spec },
    )
    expect(modelOf(annotated, section).options).toMatchObject({ timeoutMs: 90, protocolVersion: 'v1' })
  })

  test('never merge requests that KServe merges, never exceed ten minutes, and never open a session', () => {
    const spec = { predictor: { timeout: 86_400, batcher: { maxBatchSize: 8 }, model: {} } }
    expect(modelOf(iris({ spec }), { defaults: { batching: 'auto' } }).options).toMatchObject({
      batching: 'off',
      timeoutMs: 600_000,
      lane: false,
    })
  })

  test.each([
    ['timeout-ms', '0'],
    ['timeout-ms', '1e9'],
    ['timeout-ms', '600001'],
    ['protocol-version', 'v9'],
    ['expose', 'yes'],
  ])('an invalid annotation %s: %s is refused with the expected form', (name, value) => {
    const { refused, message } = refusalOf(irisWith({ [`inferwire.io/${name}`]: value }))
    expect(refused).toBe('annotation')
    expect(message).toContain('expected')
    expect(message).toContain('kubectl annotate inferenceservice iris -n models')
  })
})

test('an invalid label is refused with the command that corrects it', () => {
  const object = iris({ metadata: { annotations: {}, labels: { 'inferwire.io/expose': 'yes' } } })
  const { message } = refusalOf(object)
  expect(message).toMatch(/^The label inferwire\.io\/expose of InferenceService "models\/iris" is "yes"/)
  expect(message).toContain('kubectl label inferenceservice iris -n models --overwrite')
})

test('an address that has the form of a URL, but is not one, is refused', () => {
  // "xn--a" is not valid Punycode.
  const status = { ...READY_STANDARD, address: { url: 'http://xn--a.models.svc.cluster.local' } }
  const object = iris({ metadata: { name: 'xn--a' }, status })
  expect(refusalOf(object)).toMatchObject({ refused: 'address' })
  const spec = { predictor: { model: {} }, explainer: { containers: [{}] } }
  expect(
    mapObject('InferenceService', iris({ metadata: { name: 'xn--a' }, spec, status }), rules()),
  ).toMatchObject({
    refused: 'address',
  })
})

test('an InferenceGraph with another protocol than its own is refused', () => {
  const graph = chain()
  const annotations = { 'inferwire.io/expose': 'true', 'inferwire.io/protocol-version': 'v2' }
  const changed = { ...graph, metadata: { name: 'chain', namespace: 'models', annotations } }
  expect(mapObject('InferenceGraph', changed, rules())).toMatchObject({
    refused: 'protocol',
    message: expect.stringContaining('always "v1"') as string,
  })
})

test("the explainer has a Service of its own, unless Istio's route of the InferenceService leads to it", () => {
  const spec = { predictor: { model: {} }, explainer: { containers: [{}] } }
  expect(modelOf(iris({ spec })).traits.explainer).toEqual({
    url: 'http://iris-explainer.models.svc.cluster.local',
    host: undefined,
  })
  const byIstio = { ...READY_KNATIVE, address: { url: 'http://iris.models.svc.cluster.local' } }
  expect(modelOf(iris({ spec, status: byIstio })).traits.explainer).toBeUndefined()
})

test('ModelMesh is refused with the modes to use', () => {
  const object = irisWith({ 'serving.kserve.io/deploymentMode': 'ModelMesh' }, { status: undefined })
  expect(refusalOf(object)).toMatchObject({ refused: 'mode' })
})

test('an InferenceGraph takes the body of its first step, and is never queried', () => {
  const mapped = mapObject('InferenceGraph', chain(), rules())
  expect(mapped).toMatchObject({
    name: 'chain.models',
    condition: { state: 'ready' },
    address: { url: 'http://chain.models.svc.cluster.local' },
    options: { protocolVersion: 'v1', modelName: 'chain' },
    traits: { queries: 'never', operations: ['predict'] },
  })
  expect(mapObject('InferenceGraph', chain({}), rules())).toMatchObject({ condition: { state: 'not_ready' } })
})

test('a TrainedModel is served by its InferenceService', () => {
  const parent = modelOf(iris())
  const status = { ...READY_TRAINED_MODEL, url: 'http://iris-models.example.com/v1/models/extra:predict' }
  expect(mapObject('TrainedModel', extra(status), rules(), parent)).toMatchObject({
    name: 'extra.models',
    condition: { state: 'ready' },
    address: parent.address,
    options: { protocolVersion: 'v1', modelName: 'extra' },
  })
  for (const missing of [undefined, modelOf(iris({ status: NEVER_READY }))]) {
    expect(mapObject('TrainedModel', extra(), rules(), missing)).toMatchObject({
      condition: { state: 'not_ready', reason: 'its InferenceService is not ready or not exposed' },
    })
  }
})

const llm = (status: object): UntrustedObject => ({
  metadata: { name: 'qwen', namespace: 'llm', annotations: { 'inferwire.io/expose': 'true' } },
  spec: { model: { uri: 'hf://Qwen/Qwen2.5-0.5B', name: 'Qwen/Qwen2.5-0.5B' } },
  status: { conditions: [{ type: 'Ready', status: 'True' }], ...status },
})

const mapLlm = (status: object, section: Section = {}) =>
  mapObject('LLMInferenceService', llm(status), rules(section))

describe('an LLMInferenceService', () => {
  test('has the OpenAI API at the Service of its workload', () => {
    const url = 'https://qwen-kserve-workload-svc.llm.svc.cluster.local:8000'
    const addresses = [{ url: 'http://10.0.0.7/llm/qwen' }, { url }]
    expect(mapLlm({ addresses })).toMatchObject({
      name: 'qwen.llm',
      condition: { state: 'ready' },
      address: { url },
      options: { protocolVersion: 'openai', modelName: 'Qwen/Qwen2.5-0.5B' },
    })
  })

  test('is refused if every address is outside of its namespace, and not ready without an address', () => {
    expect(mapLlm({ addresses: [{ url: 'http://10.0.0.7/llm/qwen' }] })).toMatchObject({ refused: 'address' })
    expect(mapLlm({})).toMatchObject({ condition: { state: 'not_ready' } })
  })
})
