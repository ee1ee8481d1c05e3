// Collects what a watch reports, in tests.
import type { UnreadableObject } from '../kube-api.ts'
import { keyOf, type KubeObject } from '../kube-object.ts'
import type { KubeTarget } from '../kube-target.ts'
import type { WatchHandlers } from '../resource-watch.ts'
import type { Pace } from '../retry-pace.ts'
import type { WatchStatus } from '../watch-scope.ts'

/** Waits that do not slow the tests down. */
export const FAST: Pace = { minMs: 1, maxMs: 4, slowMs: 8, listGapMs: 0 }

/** A consumer that keeps the objects, as discovery does. */
export class Consumer implements WatchHandlers {
  readonly objects = new Map<string, KubeObject>()
  /** Everything that was reported, such as `set ns/a`, `deleted ns/a` and `synced`. */
  readonly log: string[] = []
  readonly skips: UnreadableObject[] = []
  readonly statuses: WatchStatus[] = []

  set(object: KubeObject): void {
    this.log.push(`set ${keyOf(object.metadata)}`)
    this.objects.set(keyOf(object.metadata), object)
  }

  deleted(ref: {
    readonly namespace: string | undefined
    readonly name: string
    readonly uid: string
  }): void {
    this.log.push(`deleted ${keyOf(ref)}`)
    const known = this.objects.get(keyOf(ref))
    if (known?.metadata.uid !== ref.uid)
      throw new Error(`${keyOf(ref)} was deleted twice, or with another uid`)
    this.objects.delete(keyOf(ref))
  }

  status(status: WatchStatus, namespace?: string): void {
    this.statuses.push(status)
    this.log.push(namespace === undefined ? status.state : `${status.state} ${namespace}`)
  }

  skipped(unreadable: UnreadableObject): void {
    this.skips.push(unreadable)
    this.log.push(`skipped ${unreadable.identity.namespace ?? ''}/${unreadable.identity.name ?? ''}`)
  }
}

/** A target without TLS. */
export function plainTarget(url: string, token?: string): KubeTarget {
  return {
    source: 'a test',
    server: new URL(url),
    serverName: undefined,
    namespace: undefined,
    login: () => Promise.resolve({ token, tls: { ca: undefined, cert: undefined, key: undefined } }),
    renew: () => Promise.resolve(false),
  }
}
