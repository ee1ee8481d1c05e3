// Creates InferenceServices and the other kinds of KServe in one namespace, and makes them ready without a model server.
import { setTimeout as delay } from 'node:timers/promises'
import { KubeApiError, type KubeApi, type KubeObject } from '../kube-api.ts'
import { knativeStatus } from './knative-status.ts'

/** Annotations and labels of a new object. */
export interface ObjectOptions {
  readonly annotations?: Readonly<Record<string, string>>
  readonly labels?: Readonly<Record<string, string>>
}

/** A kind of KServe, by its name in paths. */
export type KserveKind = keyof typeof KINDS

const KINDS = {
  inferenceservices: { version: 'v1beta1', kind: 'InferenceService' },
  inferencegraphs: { version: 'v1alpha1', kind: 'InferenceGraph' },
  trainedmodels: { version: 'v1alpha1', kind: 'TrainedModel' },
  llminferenceservices: { version: 'v1alpha2', kind: 'LLMInferenceService' },
} as const

/** Pods with this scheduler stay pending, so that a test can write their status. */
const NO_SCHEDULER = 'none'

const TIMEOUT_MS = 60_000
const RETRY_MS = 50

/** KServe's objects in one namespace. */
export class InferenceServices {
  readonly namespace: string
  readonly #api: KubeApi

  constructor(api: KubeApi, namespace: string) {
    this.#api = api
    this.namespace = namespace
  }

  /** Creates an object, and waits while KServe's webhooks are not reachable yet. */
  create(
    name: string,
    spec: KubeObject,
    options: ObjectOptions = {},
    kind: KserveKind = 'inferenceservices',
  ): Promise<KubeObject> {
    const { version, kind: named } = KINDS[kind]
    return this.#api.create(this.path('', kind), {
      apiVersion: `serving.kserve.io/${version}`,
      kind: named,
      metadata: { name, namespace: this.namespace, ...options },
      spec,
    })
  }

  get(name: string, kind: KserveKind = 'inferenceservices'): Promise<KubeObject> {
    return this.#api.get(this.path(name, kind))
  }

  /** Merges `change` into an object. */
  patch(name: string, change: KubeObject, kind: KserveKind = 'inferenceservices'): Promise<KubeObject> {
    return this.#api.patch(this.path(name, kind), change)
  }

  /** Writes a status. A running manager replaces what it computes itself. */
  patchStatus(name: string, status: KubeObject, kind: KserveKind = 'inferenceservices'): Promise<KubeObject> {
    return this.#api.patch(`${this.path(name, kind)}/status`, { status })
  }

  delete(name: string, kind: KserveKind = 'inferenceservices'): Promise<KubeObject> {
    return this.#api.delete(this.path(name, kind))
  }

  /** Resolves with the first version of the object that fulfils `isRight`. */
  async until(
    name: string,
    isRight: (object: KubeObject) => boolean,
    kind: KserveKind = 'inferenceservices',
  ): Promise<KubeObject> {
    for (const end = Date.now() + TIMEOUT_MS; ; await delay(RETRY_MS)) {
      const object = await this.get(name, kind).catch(undefinedIfMissing)
      if (object !== undefined && isRight(object)) return object
      if (Date.now() > end) {
        throw new Error(`${kind}/${name} did not reach the expected state: ${JSON.stringify(object)}`)
      }
    }
  }

  /** Resolves when the object is ready. */
  untilReady(name: string, kind: KserveKind = 'inferenceservices'): Promise<KubeObject> {
    return this.until(name, (object) => isTrue(object, 'Ready'), kind)
  }

  /** Resolves when the object does not exist any more. */
  async untilGone(name: string, kind: KserveKind = 'inferenceservices'): Promise<void> {
    for (const end = Date.now() + TIMEOUT_MS; ; await delay(RETRY_MS)) {
      if ((await this.get(name, kind).catch(undefinedIfMissing)) === undefined) return
      if (Date.now() > end) throw new Error(`${kind}/${name} was not deleted.`)
    }
  }

  /**
   * Makes the pods of an InferenceService ready (or not ready) by writing their status. The pods must not run: see
   * `withoutPods`. Waits for `count` pods.
   */
  markPods(name: string, isReady = true, count = 1): Promise<void> {
    const status = isReady ? 'True' : 'False'
    const lastTransitionTime = new Date().toISOString()
    const conditions = [{ type: 'Ready', status, lastTransitionTime }]
    return this.#patchPods(name, count, { phase: 'Running', conditions })
  }

  /** Lets the pods of an InferenceService report that the model could not be downloaded. */
  failPods(name: string): Promise<void> {
    const terminated = { exitCode: 1, reason: 'Error', message: 'RuntimeError: no such bucket' }
    const container = { name: 'storage-initializer', image: '', imageID: '', ready: false, restartCount: 1 }
    return this.#patchPods(name, 1, {
      phase: 'Pending',
      initContainerStatuses: [{ ...container, state: { terminated } }],
    })
  }

  /** Writes the status that Knative's controllers write for a ready revision of the Knative Service `name`. */
  async markKnativeService(name: string): Promise<void> {
    const path = `/apis/serving.knative.dev/v1/namespaces/${this.namespace}/services/${name}`
    for (const end = Date.now() + TIMEOUT_MS; ; await delay(RETRY_MS)) {
      const service = await this.#api.get(path).catch(undefinedIfMissing)
      if (service !== undefined) {
        const status = knativeStatus(name, this.namespace, service.metadata.generation)
        await this.#api.patch(`${path}/status`, { status })
        return
      }
      if (Date.now() > end) throw new Error(`There is no Knative Service "${name}".`)
    }
  }

  /** Returns the path of an object, or of the collection if `name` is empty. */
  path(name: string, kind: KserveKind = 'inferenceservices'): string {
    const { version } = KINDS[kind]
    const collection = `/apis/serving.kserve.io/${version}/namespaces/${this.namespace}/${kind}`
    return name === '' ? collection : `${collection}/${name}`
  }

  async #patchPods(name: string, count: number, status: KubeObject): Promise<void> {
    const selector = encodeURIComponent(`serving.kserve.io/inferenceservice=${name}`)
    const path = `/api/v1/namespaces/${this.namespace}/pods`
    for (const end = Date.now() + TIMEOUT_MS; ; await delay(RETRY_MS)) {
      const { items } = await this.#api.get(`${path}?labelSelector=${selector}`)
      if (items.length >= count) {
        const pods = items.map(({ metadata }: KubeObject) => `${path}/${metadata.name}/status`)
        await Promise.all(pods.map((pod: string) => this.#api.patch(pod, { status })))
        return
      }
      if (Date.now() > end)
        throw new Error(`InferenceService "${name}" has ${items.length} of ${count} pods.`)
    }
  }
}

/** Returns the spec of a predictor with the scikit-learn model iris. `predictor` overrides its members. */
export function sklearnSpec(predictor: KubeObject = {}): KubeObject {
  const model = {
    modelFormat: { name: 'sklearn' },
    storageUri: 'gs://example-bucket/models/sklearn/iris',
    ...predictor.model,
  }
  return { predictor: { ...predictor, model } }
}

/** Returns the spec with pods that never run, so that `markPods` decides whether they are ready. */
export function withoutPods(spec: KubeObject): KubeObject {
  return Object.fromEntries(
    Object.entries(spec).map(([component, value]) => [
      component,
      { ...(value as KubeObject), schedulerName: NO_SCHEDULER },
    ]),
  )
}

/** Whether the object's condition `type` is true. */
export function isTrue({ status }: KubeObject, type: string): boolean {
  return (status?.conditions ?? []).some((each: KubeObject) => each.type === type && each.status === 'True')
}

function undefinedIfMissing(error: unknown): undefined {
  if (error instanceof KubeApiError && error.status === 404) return undefined
  throw error
}
