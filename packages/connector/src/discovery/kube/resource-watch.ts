// Follows the objects of one kind, cluster-wide or in a list of namespaces.
import { KubeError } from './kube-error.ts'
import type { KubeApi, UnreadableObject } from './kube-api.ts'
import { collectionPath, type KubeKind, type KubeObject, type ObjectRef } from './kube-object.ts'
import { PACE, type Pace } from './retry-pace.ts'
import { followScope, type ScopeSink, type WatchStatus } from './watch-scope.ts'

/** Takes what a watch reports. Calls for one namespace come in the order of the changes. */
export interface WatchHandlers {
  /** An object is new or has changed. Not called again for a version that was reported already. */
  set(object: KubeObject): void
  /** An object no longer exists, no longer matches the selector, or cannot be read any more. */
  deleted(ref: ObjectRef): void
  /**
   * The state has changed: of the whole cluster (`namespace` undefined) or of one of the namespaces. After a state other
   * than `synced`, the known objects stay as they were, except that `absent` follows after `deleted` for each of them.
   */
  status(status: WatchStatus, namespace: string | undefined): void
  /** An object was ignored because it is too large or cannot be parsed. It counts as deleted until it can be read. */
  skipped(unreadable: UnreadableObject): void
}

/** Options of a watch. */
export interface ResourceWatchOptions {
  readonly kind: KubeKind
  /** Undefined = the whole cluster. Each namespace takes one connection. */
  readonly namespaces?: readonly string[] | undefined
  /** Kubernetes label selector, such as `team in (a,b),!hidden`. */
  readonly labelSelector?: string | undefined
  readonly handlers: WatchHandlers
  readonly pace?: Partial<Pace>
  /** Longest silence of a watch, in milliseconds. The API server sends a bookmark every minute. @default 150000 */
  readonly silenceMs?: number
  /** Shortest time that a watch stays open, in seconds; the longest is twice as long. @default 300 */
  readonly watchSeconds?: number
}

const SILENCE_MS = 150_000
const WATCH_SECONDS = 300

/** A list and watch of one kind. Holds names and versions of the objects, not the objects. */
export class ResourceWatch {
  /** Resolves when every namespace has reported its first status, whatever it is. */
  readonly firstStatus: Promise<void>
  readonly #stopping = new AbortController()
  readonly #running: Promise<unknown>

  /** Starts the watch. @throws KubeError if the kind or a namespace is not a valid name */
  constructor(api: KubeApi, options: ResourceWatchOptions) {
    const { kind, namespaces, labelSelector, handlers, pace, silenceMs = SILENCE_MS } = options
    const { watchSeconds = WATCH_SECONDS } = options
    const scopes = namespaces === undefined ? [undefined] : [...new Set(namespaces)]
    const paths = scopes.map((namespace) => collectionPath(kind, namespace))
    const waiting = new Set<string | undefined>(scopes)
    let resolve!: () => void
    this.firstStatus = new Promise((done) => (resolve = done))
    if (waiting.size === 0) resolve()
    const running = scopes.map((namespace, index) => {
      const sink: ScopeSink = {
        ...guarded(handlers),
        status: (status) => {
          handlers.status(status, namespace)
          if (waiting.delete(namespace) && waiting.size === 0) resolve()
        },
      }
      const scope = {
        api,
        path: paths[index]!,
        labelSelector,
        pace: { ...PACE, ...pace },
        silenceMs,
        watchSeconds: () => Math.round(watchSeconds * (1 + Math.random())),
      }
      return followScope(scope, sink, this.#stopping.signal)
    })
    this.#running = Promise.all(running)
  }

  /** Ends the watch. No handler is called afterwards. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }
}

// An object that a handler cannot take must not stop the others.
function guarded(handlers: WatchHandlers): Omit<ScopeSink, 'status'> {
  const attempt = (identity: UnreadableObject['identity'], run: () => void): void => {
    try {
      run()
    } catch (error) {
      const options = {
        reason: 'InternalError',
        remedy: 'This is a fault of the connector; please report it.',
      }
      handlers.skipped({
        identity,
        error: new KubeError(`The object could not be handled: ${(error as Error).message}`, {
          ...options,
          cause: error,
        }),
      })
    }
  }
  return {
    set: (object) => attempt(identityOf(object), () => handlers.set(object)),
    deleted: (ref) => attempt({ name: ref.name, uid: ref.uid }, () => handlers.deleted(ref)),
    skipped: (unreadable) => handlers.skipped(unreadable),
  }
}

function identityOf({ metadata }: KubeObject): UnreadableObject['identity'] {
  const { name, namespace, uid, resourceVersion } = metadata
  return { name, uid, resourceVersion, ...(namespace === undefined ? {} : { namespace }) }
}
