// Stands in for the scheduler: binds every pod to the only node unless a required anti-affinity excludes it.
import { KubeApiError, type KubeApi, type KubeObject } from '../kube-api.ts'
import { NODE_NAME } from './node-name.ts'

/** Binds pods to the node. */
export class Scheduler {
  readonly #api: KubeApi
  readonly #placed = new Map<string, KubeObject>()
  readonly #waiting = new Map<string, KubeObject>()

  constructor(api: KubeApi) {
    this.#api = api
  }

  /** Binds a pod to the node as soon as no other pod excludes it. */
  place(pod: KubeObject): void {
    const { uid } = pod.metadata
    if (this.#placed.has(uid)) return
    if ([...this.#placed.values()].some((other) => isKeptAway(pod, other))) {
      if (!this.#waiting.has(uid)) void this.#report(pod)
      this.#waiting.set(uid, pod)
      return
    }
    this.#waiting.delete(uid)
    this.#placed.set(uid, pod)
    void this.#bind(pod)
  }

  /** Handles the removal of a pod. */
  forget(uid: string): void {
    this.#placed.delete(uid)
    this.#waiting.delete(uid)
    for (const pod of this.#waiting.values()) this.place(pod)
  }

  async #bind(pod: KubeObject): Promise<void> {
    try {
      await this.#api.create(`${pathOf(pod)}/binding`, {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name: pod.metadata.name },
        target: { apiVersion: 'v1', kind: 'Node', name: NODE_NAME },
      })
    } catch (error) {
      // The pod was deleted or is bound already.
      if (!(error instanceof KubeApiError) || ![404, 409].includes(error.status)) throw error
    }
  }

  async #report(pod: KubeObject): Promise<void> {
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message: "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.",
    }
    await this.#api.patch(`${pathOf(pod)}/status`, { status: { conditions: [condition] } }).catch(() => {})
  }
}

function pathOf({ metadata }: KubeObject): string {
  return `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}`
}

// Supports only required terms with matchLabels. The terms apply to the pod's own namespace.
function isKeptAway(pod: KubeObject, other: KubeObject): boolean {
  const terms = pod.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []
  const labels = other.metadata.labels ?? {}
  return (
    pod.metadata.namespace === other.metadata.namespace &&
    terms.some(({ labelSelector }: KubeObject) =>
      Object.entries(labelSelector.matchLabels).every(([key, value]) => labels[key] === value),
    )
  )
}
