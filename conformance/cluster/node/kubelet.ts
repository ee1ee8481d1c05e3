// Stands in for the kubelet: one node that runs pods as processes of this machine. README.md lists its limits.
import { readFileSync } from 'node:fs'
import type { MemoryCage } from '../../fixtures/memory-cage.ts'
import type { KubeApi, KubeObject } from '../kube-api.ts'
import { NODE_ADDRESS } from './network.ts'
import { NODE_NAME } from './node-name.ts'
import { Pod, type NodeContext } from './pod.ts'
import { Scheduler } from './scheduler.ts'

/** A running node. */
export interface Kubelet {
  /** Returns the logs of the matching pods, including removed pods: the last `characters` of each container's log. */
  logs(namespace: RegExp, name: RegExp, characters?: number): string
  /** Returns the process ids of a running pod's containers, by container name. */
  pids(namespace: RegExp, name: RegExp): Readonly<Record<string, number | undefined>>
  /** Returns the containers' memory limits by container name; undefined if this machine permits no limits. */
  memory(namespace: RegExp, name: RegExp): Readonly<Record<string, MemoryCage | undefined>>
  stop(): Promise<void>
}

/** Registers the node, and runs every pod of the cluster on it. */
export async function startKubelet(node: NodeContext): Promise<Kubelet> {
  await register(node.api)
  const stopping = new AbortController()
  const pods = new Map<string, Pod>()
  // Also contains removed pods, so that their logs can still be read.
  const all: Pod[] = []

  const scheduler = new Scheduler(node.api)
  const onPod = (object: KubeObject, isDeleted: boolean): void => {
    const { uid, deletionTimestamp } = object.metadata
    const running = pods.get(uid)
    if (isDeleted) {
      pods.delete(uid)
      scheduler.forget(uid)
      void running?.kill()
    } else if (running !== undefined) running.update(object)
    else if (object.spec.nodeName === undefined) {
      const isOurs = object.spec.schedulerName === 'default-scheduler'
      if (isOurs && deletionTimestamp === undefined) scheduler.place(object)
    } else if (object.spec.nodeName === NODE_NAME) {
      const pod = new Pod(node, object)
      pods.set(uid, pod)
      all.push(pod)
      void pod.start().catch((error: unknown) => console.error(`Pod ${object.metadata.name}:`, error))
      pod.update(object)
    }
  }
  const onSource =
    (kind: 'configMap' | 'secret') =>
    (object: KubeObject): void => {
      for (const pod of pods.values()) {
        if (pod.object.metadata.namespace !== object.metadata.namespace) continue
        void pod.sourceChanged(kind, object.metadata.name)
      }
    }
  await node.api.watch('/api/v1/configmaps', stopping.signal, onSource('configMap'))
  await node.api.watch('/api/v1/secrets', stopping.signal, onSource('secret'))
  await node.api.watch('/api/v1/pods', stopping.signal, onPod)

  const found = (namespace: RegExp, name: RegExp): Pod[] =>
    all.filter(({ object: { metadata } }) => namespace.test(metadata.namespace) && name.test(metadata.name))
  return {
    logs: (namespace, name, characters = Infinity) =>
      found(namespace, name)
        .flatMap((pod) => pod.logFiles.map((file) => `--- ${file}\n${readLog(file).slice(-characters)}`))
        .join('\n'),
    memory: (namespace, name) => found(namespace, name).at(-1)?.memory ?? {},
    pids: (namespace, name) => found(namespace, name).at(-1)?.pids ?? {},
    stop: async () => {
      stopping.abort()
      await Promise.all([...pods.values()].map((pod) => pod.kill()))
    },
  }
}

async function register(api: KubeApi): Promise<void> {
  await api.create('/api/v1/nodes', {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: NODE_NAME,
      labels: { 'kubernetes.io/hostname': NODE_NAME, 'kubernetes.io/os': 'linux' },
    },
  })
  const room = { cpu: '8', memory: '16Gi', pods: '110' }
  await api.patch(`/api/v1/nodes/${NODE_NAME}/status`, {
    status: {
      capacity: room,
      allocatable: room,
      addresses: [{ type: 'InternalIP', address: NODE_ADDRESS }],
      conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady' }],
    },
  })
  // The API server taints a new node as not ready; the heartbeat of a real kubelet removes the taint.
  await api.patch(`/api/v1/nodes/${NODE_NAME}`, { spec: { taints: null } })
}

function readLog(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
