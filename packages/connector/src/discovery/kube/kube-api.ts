// Access to one Kubernetes API server: single objects, lists, reviews, and the streams that ResourceWatch reads.
import { invalidResponse, KubeError, tooLarge } from './kube-error.ts'
import { findIdentity, type PartialIdentity } from './find-identity.ts'
import { inClusterTarget, isInCluster, type InClusterOptions } from './in-cluster.ts'
import { kubeconfigTarget, type KubeconfigOptions } from './kubeconfig-target.ts'
import { KubeHttp, readBody, type KubeAnswer } from './kube-http.ts'
import { asObject, type KubeObject } from './kube-object.ts'
import type { KubeTarget } from './kube-target.ts'
import { ListReader } from './list-reader.ts'
import { withTimeLimit } from './time-limit.ts'

/** Options of a single call. */
export interface CallOptions {
  readonly signal?: AbortSignal
  /** @default 15000 */
  readonly timeoutMs?: number
}

/** Options of `list`. */
export interface ListOptions extends CallOptions {
  readonly labelSelector?: string | undefined
  /** Maximum number of objects of the whole list; more are an error. @default 10000 */
  readonly objectsMax?: number
}

/** An object that is too large or cannot be parsed. */
export interface UnreadableObject {
  /** What is known about the object. */
  readonly identity: PartialIdentity
  readonly error: KubeError
}

/** Takes the objects of a list while they arrive. */
export interface ListHandlers {
  item(object: KubeObject): void
  skipped(unreadable: UnreadableObject): void
}

/** Limits of lists and watches. */
export interface KubeLimits {
  /** Size of one object. etcd accepts 1.5 MiB by default. @default 2 MiB */
  readonly objectBytesMax: number
  /** Objects per page of a list. @default 500 */
  readonly pageSize: number
  /** Longest silence in an answer that is not a watch. @default 30000 */
  readonly silenceMs: number
}

const TIMEOUT_MS = 15_000
// The API server itself ends a request that is not a watch after a minute, by default.
const PAGE_TIMEOUT_MS = 120_000
const BODY_BYTES_MAX = 8 * 1024 * 1024
const OBJECTS_MAX = 10_000
/** The default limits. */
const KUBE_LIMITS: KubeLimits = {
  objectBytesMax: 2 * 1024 * 1024,
  pageSize: 500,
  silenceMs: 30_000,
}

/** Options of `KubeApi.find`. */
export interface FindOptions extends KubeconfigOptions, InClusterOptions {}

/** A client for one API server. Reads no proxy settings and follows no redirects. */
export class KubeApi {
  readonly #target: KubeTarget
  readonly #http: KubeHttp
  readonly #limits: KubeLimits

  constructor(target: KubeTarget, limits: Partial<KubeLimits> = {}) {
    this.#target = target
    this.#http = new KubeHttp(target)
    this.#limits = { ...KUBE_LIMITS, ...limits }
  }

  /** Uses the ServiceAccount of this pod. @throws KubeError `InvalidConfig`, `NoCredential` */
  static inCluster(options: InClusterOptions = {}): KubeApi {
    return new KubeApi(inClusterTarget(options))
  }

  /** Uses a kubeconfig, like kubectl. @throws KubeError `InvalidConfig` */
  static fromKubeconfig(options: KubeconfigOptions = {}): KubeApi {
    return new KubeApi(kubeconfigTarget(options))
  }

  /**
   * Uses a kubeconfig if the options or KUBECONFIG name one, then the pod's ServiceAccount if there is one, then
   * `~/.kube/config`. @throws KubeError `InvalidConfig`, `NoCredential`
   */
  static find(options: FindOptions = {}): KubeApi {
    const { env = process.env, kubeconfig, context } = options
    const isNamed = kubeconfig !== undefined || context !== undefined || (env['KUBECONFIG'] ?? '') !== ''
    return !isNamed && isInCluster(options) ? KubeApi.inCluster(options) : KubeApi.fromKubeconfig(options)
  }

  /** Where the settings come from, for messages. */
  get source(): string {
    return this.#target.source
  }

  /** Address of the API server. */
  get server(): string {
    return this.#target.server.href
  }

  /** The ServiceAccount's namespace, or that of the kubeconfig's context. */
  get namespace(): string | undefined {
    return this.#target.namespace
  }

  /** Gets the JSON value at a path, such as `/version`. @throws KubeError */
  async get(path: string, options: CallOptions = {}): Promise<unknown> {
    return await this.#call('GET', path, undefined, options)
  }

  /** Creates an object, such as a SelfSubjectAccessReview, and returns the answer. @throws KubeError */
  async post(path: string, object: unknown, options: CallOptions = {}): Promise<unknown> {
    return await this.#call('POST', path, JSON.stringify(object), options)
  }

  /** Returns all objects of a collection, except unreadable ones. @throws KubeError `TooLarge` for too many objects */
  async list(path: string, options: ListOptions = {}): Promise<KubeObject[]> {
    const { objectsMax = OBJECTS_MAX, timeoutMs = TIMEOUT_MS, signal, labelSelector } = options
    const objects: KubeObject[] = []
    const item = (object: KubeObject): void => {
      if (objects.length === objectsMax) {
        throw tooLarge(
          `${path} has more than ${objectsMax} objects`,
          'Ask for one namespace, or use a label selector.',
        )
      }
      objects.push(object)
    }
    await withTimeLimit(signal, timeoutMs, (limited) =>
      this.readList(path, { labelSelector, signal: limited }, { item, skipped: () => {} }),
    )
    return objects
  }

  /**
   * Reads all pages of a list, and passes on each object while the list arrives. Resolves with the list's
   * resourceVersion. @throws KubeError; `Expired` (410) if the list took too long
   */
  async readList(
    path: string,
    { labelSelector, signal }: { readonly labelSelector?: string | undefined; readonly signal: AbortSignal },
    handlers: ListHandlers,
  ): Promise<string> {
    const { pageSize, silenceMs, objectBytesMax } = this.#limits
    let next: string | undefined
    for (;;) {
      const query = new URLSearchParams({ limit: String(pageSize) })
      if (labelSelector !== undefined) query.set('labelSelector', labelSelector)
      if (next !== undefined) query.set('continue', next)
      const reader = new ListReader(
        {
          item: (bytes) => readItem(bytes, handlers),
          skipped: (beginning) =>
            handlers.skipped(unreadable(beginning, ['metadata'], largeObject(objectBytesMax))),
        },
        objectBytesMax,
      )
      const request = {
        method: 'GET',
        path: `${path}?${query.toString()}`,
        headMs: silenceMs,
        silenceMs,
      } as const
      await withTimeLimit(signal, PAGE_TIMEOUT_MS, async (limited) => {
        const answer = await this.#http.send({ ...request, signal: limited })
        for await (const chunk of answer.chunks) reader.feed(chunk)
      })
      const end = reader.end()
      if (end.next === undefined) return end.resourceVersion
      next = end.next
    }
  }

  /** Opens a stream of events. `silenceMs` limits the time between two chunks. @throws KubeError */
  async openWatch(
    path: string,
    query: URLSearchParams,
    signal: AbortSignal,
    silenceMs: number,
  ): Promise<KubeAnswer> {
    const headMs = this.#limits.silenceMs
    return await this.#http.send({
      method: 'GET',
      path: `${path}?${query.toString()}`,
      signal,
      headMs,
      silenceMs,
    })
  }

  /** Size limit of one object, in bytes. */
  get objectBytesMax(): number {
    return this.#limits.objectBytesMax
  }

  /** Closes all connections. */
  async close(): Promise<void> {
    await this.#http.close()
  }

  async #call(
    method: 'GET' | 'POST',
    path: string,
    body: string | undefined,
    { signal, timeoutMs = TIMEOUT_MS }: CallOptions,
  ): Promise<unknown> {
    return await withTimeLimit(signal, timeoutMs, async (limited) => {
      const answer = await this.#http.send({
        method,
        path,
        signal: limited,
        headMs: timeoutMs,
        silenceMs: timeoutMs,
        ...(body === undefined ? {} : { body }),
      })
      return parseJson(await readBody(answer, BODY_BYTES_MAX), answer.what)
    })
  }
}

/** Describes an object that cannot be read, by the beginning of its JSON. `path` leads to its metadata. */
export function unreadable(beginning: Buffer, path: readonly string[], error: KubeError): UnreadableObject {
  return { identity: findIdentity(beginning.toString('utf8'), path), error }
}

/** The error about an object above the size limit. */
export function largeObject(bytesMax: number): KubeError {
  return tooLarge(`An object is larger than ${bytesMax} bytes`, 'Make the object smaller; it is ignored.')
}

function readItem(bytes: Buffer, handlers: ListHandlers): void {
  let object: KubeObject
  try {
    object = asObject(parseJson(bytes.toString('utf8'), 'the list'))
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    handlers.skipped(unreadable(bytes, ['metadata'], error))
    return
  }
  handlers.item(object)
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw invalidResponse(`The answer to ${what} is not JSON`)
  }
}
