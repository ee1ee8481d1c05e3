// Follows the objects of one kind in one namespace, or in the whole cluster: lists them, watches the changes, and starts
// again after every kind of failure.
import { setTimeout as delay } from 'node:timers/promises'
import { isAborted, KubeError } from './kube-error.ts'
import { largeObject, unreadable, type KubeApi, type UnreadableObject } from './kube-api.ts'
import { KnownObjects, type ObjectSink } from './known-objects.ts'
import { LineReader } from './line-reader.ts'
import { RetryPace, type Pace } from './retry-pace.ts'
import { parseWatchEvent, type WatchEvent } from './watch-event.ts'

/** The state of a watch, in the whole cluster or in one namespace. */
export type WatchStatus =
  /** All objects of the last list have been reported, and changes follow. */
  | { readonly state: 'synced' }
  /** The kind is not installed (404); objects that were known have been reported as deleted. It is tried again slowly. */
  | { readonly state: 'absent'; readonly error: KubeError }
  /** The API server refuses access (403); objects that were known stay as they were. It is tried again slowly. */
  | { readonly state: 'forbidden'; readonly error: KubeError }
  /** Any other failure; objects that were known stay as they were. It is tried again, at most `Pace.maxMs` apart. */
  | { readonly state: 'failing'; readonly error: KubeError }

/** Takes what a scope reports. */
export interface ScopeSink extends ObjectSink {
  /** Called when the state, or the reason for it, changes. */
  status(status: WatchStatus): void
  /** Called for an object that is too large or cannot be parsed. It counts as deleted until it can be read. */
  skipped(unreadable: UnreadableObject): void
}

/** What to follow. */
export interface ScopeOptions {
  readonly api: KubeApi
  readonly path: string
  readonly labelSelector: string | undefined
  readonly pace: Pace
  /** Longest silence of a watch. The API server sends a bookmark every minute. */
  readonly silenceMs: number
  /** How long the API server shall keep a watch open. */
  readonly watchSeconds: () => number
}

// A 404 for known objects may come from an API server that has not loaded its resources yet.
const ABSENT_AFTER = 3
// After this many watches without any progress, the version may be one that this API server cannot serve.
const LIST_AFTER = 3
// A single silence may be a connection that a firewall has dropped.
const SILENT_AFTER = 3

/** Follows the objects until `signal` is aborted; never throws. */
export async function followScope(
  options: ScopeOptions,
  sink: ScopeSink,
  signal: AbortSignal,
): Promise<void> {
  await new Scope(options, sink, signal).run()
}

class Scope {
  readonly #options: ScopeOptions
  readonly #sink: ScopeSink
  readonly #signal: AbortSignal
  readonly #known: KnownObjects
  readonly #pace: RetryPace
  // Undefined = the next step is a list.
  #version: string | undefined
  #listedAtMs = Number.NEGATIVE_INFINITY
  #notFound = 0
  /** Number of successive watches on which nothing arrived for `silenceMs`. */
  #silences = 0
  #reported = ''

  constructor(options: ScopeOptions, sink: ScopeSink, signal: AbortSignal) {
    this.#options = options
    this.#sink = sink
    this.#signal = signal
    this.#known = new KnownObjects(sink)
    this.#pace = new RetryPace(options.pace)
  }

  async run(): Promise<void> {
    while (!this.#signal.aborted) {
      let waitMs: number
      try {
        waitMs = this.#version === undefined ? await this.#list() : await this.#watch(this.#version)
      } catch (error) {
        if (this.#signal.aborted || isAborted(error)) return
        waitMs = this.#failed(asKubeError(error))
      }
      if (waitMs > 0) await delay(waitMs, undefined, { signal: this.#signal }).catch(() => {})
    }
  }

  async #list(): Promise<number> {
    const { api, path, labelSelector, pace } = this.#options
    const gapMs = this.#listedAtMs + pace.listGapMs - performance.now()
    if (gapMs > 0) await delay(gapMs, undefined, { signal: this.#signal })
    this.#listedAtMs = performance.now()
    this.#known.beginList()
    const version = await api.readList(
      path,
      { labelSelector, signal: this.#signal },
      { item: (object) => this.#known.set(object), skipped: (each) => this.#sink.skipped(each) },
    )
    this.#known.endList()
    this.#version = version
    this.#notFound = 0
    this.#answered()
    return 0
  }

  async #watch(version: string): Promise<number> {
    const { api, path, labelSelector, silenceMs, watchSeconds } = this.#options
    const query = new URLSearchParams({
      watch: '1',
      allowWatchBookmarks: 'true',
      resourceVersion: version,
      timeoutSeconds: String(watchSeconds()),
    })
    if (labelSelector !== undefined) query.set('labelSelector', labelSelector)
    const answer = await api.openWatch(path, query, this.#signal, silenceMs)
    this.#answered()
    const bytesMax = api.objectBytesMax
    const reader = new LineReader(
      {
        line: (bytes) => this.#takeLine(bytes),
        skipped: (beginning) =>
          this.#skip(unreadable(beginning, ['object', 'metadata'], largeObject(bytesMax))),
      },
      bytesMax,
    )
    const startedAtMs = performance.now()
    try {
      for await (const chunk of answer.chunks) reader.feed(chunk)
    } catch (error) {
      // A broken connection is not yet a failure: the next attempt shows whether the API server works.
      if (this.#version === undefined || this.#signal.aborted) throw error
      return asKubeError(error).reason === 'Timeout' ? this.#silent(error) : this.#retry()
    }
    // A watch without a line is progress only if it lasted, so that one that ends at once is not repeated at once.
    if (performance.now() - startedAtMs >= silenceMs / 2) this.#pace.progress()
    return this.#retry()
  }

  // The API server, or a proxy before it, may have withheld changes, so only a list shows them.
  #silent(error: unknown): number {
    this.#silences += 1
    this.#version = undefined
    if (this.#silences >= SILENT_AFTER) this.#report({ state: 'failing', error: asKubeError(error) })
    return this.#pace.failed()
  }

  // The beginning of an answer does not end a failure that consists in silence after it.
  #answered(): void {
    if (this.#silences < SILENT_AFTER) this.#report({ state: 'synced' })
  }

  #heard(): void {
    this.#silences = 0
    this.#report({ state: 'synced' })
  }

  #takeLine(bytes: Buffer): void {
    let event: WatchEvent
    try {
      event = parseWatchEvent(bytes.toString('utf8'))
    } catch (error) {
      this.#skip(unreadable(bytes, ['object', 'metadata'], asKubeError(error)))
      return
    }
    if (event.type === 'error') {
      this.#version = undefined
      throw event.error
    }
    if (event.type === 'set') this.#known.set(event.object)
    else if (event.type === 'deleted') this.#known.delete(event.object.metadata)
    this.#version = event.resourceVersion
    this.#pace.progress()
    this.#heard()
  }

  // An unreadable object counts as deleted. If it cannot be identified, only a list shows what has changed.
  #skip(skipped: UnreadableObject): void {
    const { name, namespace, resourceVersion } = skipped.identity
    this.#sink.skipped(skipped)
    if (name === undefined || resourceVersion === undefined) {
      this.#version = undefined
      throw skipped.error
    }
    this.#known.delete({ name, namespace })
    this.#version = resourceVersion
    this.#pace.progress()
    this.#heard()
  }

  #failed(error: KubeError): number {
    const { status } = error
    this.#silences = 0
    if (status === 403) return this.#slow({ state: 'forbidden', error })
    if (status === 404) {
      this.#version = undefined
      this.#notFound += 1
      if (this.#known.size === 0 || this.#notFound >= ABSENT_AFTER) {
        this.#known.clear()
        return this.#slow({ state: 'absent', error })
      }
    }
    if (status === 410) this.#version = undefined
    // A server that cannot be reached or is busy may still be able to serve the version.
    const isBusy = status === undefined || status === 429
    const waitMs = isBusy ? this.#pace.failed(error.retryAfterMs) : this.#retry(error.retryAfterMs)
    // A 410 is routine, unless a list ends with it again and again.
    if (status !== 410 || this.#pace.failures >= LIST_AFTER) this.#report({ state: 'failing', error })
    return waitMs
  }

  #retry(retryAfterMs?: number): number {
    const waitMs = this.#pace.failed(retryAfterMs)
    if (this.#pace.failures >= LIST_AFTER) this.#version = undefined
    return waitMs
  }

  #slow(status: WatchStatus): number {
    this.#report(status)
    return this.#pace.slow()
  }

  #report(status: WatchStatus): void {
    const reason = status.state === 'synced' ? '' : status.error.reason
    const reported = `${status.state} ${reason}`
    if (reported === this.#reported) return
    this.#reported = reported
    this.#sink.status(status)
  }
}

function asKubeError(error: unknown): KubeError {
  if (error instanceof KubeError) return error
  const { message } = error as Error
  return new KubeError(`The watch failed: ${message}`, {
    reason: 'InternalError',
    remedy: 'This is a fault of the connector; please report it.',
    cause: error,
  })
}
