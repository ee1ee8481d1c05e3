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
  /**
   * An object was ignored because it is too large or cannot be parsed. It counts as deleted until it can be read. Also
   * called if another handler throws. Must not throw.
   */
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
  /** Resolves when every namespace has reported its first status, whatever it is, or when the watch is stopped. */
  readonly firstStatus: Promise<void>
  // One for each scope, because Node.js 20 warns about a signal with more than ten listeners.
  readonly #stopping: readonly AbortController[]
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
    this.#stopping = scopes.map(() => new AbortController())
    const running = scopes.map((namespace, index) => {
      const { signal } = this.#stopping[index]!
      const guarded = guard(handlers, namespace, signal)
      const sink: ScopeSink = {
        ...guarded,
        status: (status) => {
          guarded.status(status)
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
      return followScope(scope, sink, signal)
    })
    this.#running = Promise.all(running).finally(resolve)
  }

  /** Ends the watch. No handler is called afterwards. */
  async stop(): Promise<void> {
    for (const controller of this.#stopping) controller.abort()
    await this.#running
  }
}

// An object that a handler cannot take must not stop the others. After the end of the watch, no handler is called.
function guard(handlers: WatchHandlers, namespace: string | undefined, signal: AbortSignal): ScopeSink {
  const attempt = (identity: UnreadableObject['identity'], run: () => void): void => {
    if (signal.aborted) return
    try {
      run()
    } catch (error) {
      handlers.skipped({ identity, error: handlerError(error) })
    }
  }
  return {
    set: (object) => attempt(identityOf(object.metadata), () => handlers.set(object)),
    deleted: (ref) => attempt(identityOf(ref), () => handlers.deleted(ref)),
    status: (status) => attempt(identityOf({ namespace }), () => handlers.status(status, namespace)),
    skipped: (unreadable) => {
      if (!signal.aborted) handlers.skipped(unreadable)
    },
  }
}

function handlerError(error: unknown): KubeError {
  return new KubeError(`What the API server sent could not be handled: ${(error as Error).message}`, {
    reason: 'InternalError',
    remedy: 'This is a fault of the connector; please report it.',
    cause: error,
  })
}

type Identity = UnreadableObject['identity']

// Leaves out members that are undefined.
function identityOf(ref: { readonly [Member in keyof Identity]: Identity[Member] | undefined }): Identity {
  const members = ['namespace', 'name', 'uid', 'resourceVersion'] as const
  return Object.fromEntries(
    members.flatMap((member) => (ref[member] === undefined ? [] : [[member, ref[member]]])),
  )
}
