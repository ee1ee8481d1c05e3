// Runs a pod on the node: its network, volumes, init containers, containers, status and termination.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { MemoryCage } from '../../fixtures/memory-cage.ts'
import { KubeApiError, type KubeApi, type KubeObject } from '../kube-api.ts'
import { Container, type ContainerContext } from './container.ts'
import { createPodNetwork, NODE_ADDRESS, type PodNetwork } from './network.ts'
import { NotThereYet, PodVolumes } from './volumes.ts'

/** Resources of the node that all its pods share. */
export interface NodeContext {
  readonly api: KubeApi
  readonly folder: string
  readonly traefik: string
  /** Address of the DNS server. */
  readonly dns: string
}

const RETRY_MS = 300

/** Runs a pod from its binding to its deletion. */
export class Pod {
  readonly #node: NodeContext
  readonly #folder: string
  readonly #path: string
  readonly #volumes: PodVolumes
  readonly #containers: Container[] = []
  readonly #inits: Container[] = []
  readonly #startTime = new Date().toISOString()
  #pod: KubeObject
  #network: PodNetwork | undefined
  #reason: string | undefined
  #isEnding = false
  #isInitialized = false
  #exitCodes: number[] = []
  #sending: Promise<void> | undefined
  #isDirty = false
  readonly #since = new Map<string, { status: string; time: string }>()

  constructor(node: NodeContext, pod: KubeObject) {
    this.#node = node
    this.#pod = pod
    const { namespace, name, uid } = pod.metadata
    this.#folder = join(node.folder, `${namespace}_${name}_${uid.slice(0, 8)}`)
    this.#path = `/api/v1/namespaces/${namespace}/pods/${name}`
    mkdirSync(this.#folder, { recursive: true })
    this.#volumes = new PodVolumes(node.api, join(this.#folder, 'volumes'))
  }

  get object(): KubeObject {
    return this.#pod
  }

  /** Paths of the containers' log files. */
  get logFiles(): readonly string[] {
    return [...this.#inits, ...this.#containers].map((container) => container.logFile)
  }

  /** Process ids by container name. */
  get pids(): Readonly<Record<string, number | undefined>> {
    return Object.fromEntries(this.#containers.map((container) => [container.status.name, container.pid]))
  }

  /** Memory limits by container name. */
  get memory(): Readonly<Record<string, MemoryCage | undefined>> {
    return Object.fromEntries(this.#containers.map((container) => [container.status.name, container.memory]))
  }

  async start(): Promise<void> {
    this.#network = await createPodNetwork()
    this.#pod.status = { ...this.#pod.status, podIP: this.#network.address }
    if (!(await this.#makeVolumes())) return
    const { namespace } = this.#pod.metadata
    const context: ContainerContext = {
      api: this.#node.api,
      pod: this.#pod,
      network: this.#network,
      volumes: this.#volumes,
      folder: this.#folder,
      traefik: this.#node.traefik,
      resolvConf: `nameserver ${this.#node.dns}\nsearch ${namespace}.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n`,
      onChange: () => this.report(),
    }
    const { initContainers = [], containers, restartPolicy } = this.#pod.spec
    for (const spec of containers) {
      this.#containers.push(new Container(context, spec, restartPolicy === 'Always'))
    }
    for (const spec of initContainers) {
      const init = new Container(context, spec, false)
      this.#inits.push(init)
      // An init container is restarted until it succeeds.
      while ((await init.run()) !== 0 && !this.#isEnding) await delay(RETRY_MS)
    }
    if (this.#isEnding) return
    this.#isInitialized = true
    for (const container of this.#containers) {
      void container.run().then((code) => {
        this.#exitCodes.push(code)
        this.report()
      })
    }
    this.report()
  }

  /** Handles a change in the API: new metadata, or the start of the deletion. */
  update(pod: KubeObject): void {
    this.#pod.metadata = pod.metadata
    if (pod.metadata.deletionTimestamp !== undefined && !this.#isEnding) void this.#end(pod)
  }

  /** Handles a change of a ConfigMap or Secret. */
  async sourceChanged(kind: 'configMap' | 'secret', name: string): Promise<void> {
    if (this.#isEnding || !PodVolumes.uses(this.#pod, kind, name)) return
    await this.#volumes.refresh(this.#pod).catch(() => {})
  }

  /** Kills all processes of the pod without updating the API. */
  async kill(): Promise<void> {
    this.#isEnding = true
    await Promise.all([...this.#inits, ...this.#containers].map((container) => container.stop(0)))
    this.#network?.close()
  }

  /** Writes the latest status to the API. Combines successive changes. */
  report(): void {
    this.#isDirty = true
    this.#sending ??= this.#send().finally(() => (this.#sending = undefined))
  }

  async #makeVolumes(): Promise<boolean> {
    for (;;) {
      if (this.#isEnding) return false
      try {
        await this.#volumes.refresh(this.#pod)
        this.#reason = undefined
        return true
      } catch (error) {
        if (!(error instanceof NotThereYet) && !(error instanceof KubeApiError)) throw error
        if (this.#reason !== error.message) {
          this.#reason = error.message
          this.report()
        }
      }
      await delay(RETRY_MS)
    }
  }

  async #end(pod: KubeObject): Promise<void> {
    this.#isEnding = true
    const graceMs = (pod.metadata.deletionGracePeriodSeconds ?? 30) * 1000
    await Promise.all([...this.#inits, ...this.#containers].map((container) => container.stop(graceMs)))
    this.report()
    await this.#sending
    this.#network?.close()
    await this.#node.api.delete(this.#path, 0).catch(() => {})
  }

  async #send(): Promise<void> {
    while (this.#isDirty) {
      this.#isDirty = false
      await this.#node.api.patch(`${this.#path}/status`, { status: this.#status() }).catch(() => {})
    }
  }

  #status(): KubeObject {
    const isReady = this.#containers.length > 0 && this.#containers.every((container) => container.isReady)
    const condition = (type: string, isTrue: boolean): KubeObject => {
      const status = isTrue ? 'True' : 'False'
      const known = this.#since.get(type)
      const time = known?.status === status ? known.time : new Date().toISOString()
      this.#since.set(type, { status, time })
      return { type, status, lastTransitionTime: time }
    }
    return {
      phase: this.#phase(),
      hostIP: NODE_ADDRESS,
      hostIPs: [{ ip: NODE_ADDRESS }],
      ...(this.#network === undefined
        ? {}
        : { podIP: this.#network.address, podIPs: [{ ip: this.#network.address }] }),
      startTime: this.#startTime,
      conditions: [
        condition('PodReadyToStartContainers', this.#network !== undefined),
        condition('Initialized', this.#isInitialized),
        condition('Ready', isReady && !this.#isEnding),
        condition('ContainersReady', isReady),
        condition('PodScheduled', true),
      ],
      initContainerStatuses: this.#inits.map((container) => container.status),
      containerStatuses: this.#isInitialized
        ? this.#containers.map((container) => container.status)
        : this.#pod.spec.containers.map(({ name, image }: KubeObject) => ({
            name,
            image,
            imageID: '',
            ready: false,
            started: false,
            restartCount: 0,
            state: {
              waiting: {
                reason: 'ContainerCreating',
                ...(this.#reason === undefined ? {} : { message: this.#reason }),
              },
            },
          })),
    }
  }

  #phase(): string {
    if (!this.#isInitialized) return 'Pending'
    if (this.#exitCodes.length < this.#containers.length) return 'Running'
    return this.#exitCodes.every((code) => code === 0) ? 'Succeeded' : 'Failed'
  }
}
