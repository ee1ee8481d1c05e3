// Checks how models and connector take part in Istio's mesh: with sidecars, in ambient mode, or not at all.
import type { KubeObject } from '@inferwire/connector'
import { fault, ok, type Check, type Finding } from '../check.ts'
import { unreadable } from './access.ts'
import { mapOf } from './inference-service.ts'
import { namespacePath, podsPath } from './kube-paths.ts'
import { clusterOf } from './open-cluster.ts'

/** How the pods of a namespace take part in the mesh. */
export type MeshMode = 'sidecar' | 'ambient' | 'none'

const PODS_MAX = 1_000
const SIDECAR = 'istio-proxy'

export const clusterMesh: Check = {
  id: 'cluster.mesh',
  title: 'connector and models take part in the same mesh',
  needs: ['cluster.access'],
  run: async (context, signal) => {
    const { api, namespaces, account } = clusterOf(context)
    const read = async (namespace: string): Promise<MeshMode> => {
      const object = (await api.get(namespacePath(namespace), { signal })) as KubeObject
      const pods = await api.list(podsPath(namespace), { signal, objectsMax: PODS_MAX })
      return meshModeOf(object.metadata.labels ?? {}, pods)
    }
    try {
      const own = await read(account.namespace)
      const modes = await Promise.all(namespaces.map(async (name) => [name, await read(name)] as const))
      return modes.map(([namespace, mode]) => judgeMesh(account.namespace, own, namespace, mode))
    } catch (error) {
      return unreadable(error, 'namespaces and pods')
    }
  },
}

/** Determines the mode from the labels of a namespace and the containers of its pods. */
export function meshModeOf(labels: Readonly<Record<string, string>>, pods: readonly KubeObject[]): MeshMode {
  if (labels['istio.io/dataplane-mode'] === 'ambient') return 'ambient'
  const isLabelled = labels['istio-injection'] === 'enabled' || labels['istio.io/rev'] !== undefined
  if (pods.length === 0) return isLabelled ? 'sidecar' : 'none'
  return pods.some(hasSidecar) ? 'sidecar' : 'none'
}

// A native sidecar is an init container that keeps running.
function hasSidecar({ spec }: KubeObject): boolean {
  const { containers, initContainers } = mapOf(spec)
  return [containers, initContainers].flat().some((container) => mapOf(container)['name'] === SIDECAR)
}

/** Judges the mode of a model namespace, compared with the connector's. */
export function judgeMesh(ownNamespace: string, own: MeshMode, namespace: string, mode: MeshMode): Finding {
  if (mode === 'none' || own !== 'none') {
    return ok(
      `The pods in ${namespace} are ${describe(mode)}; the connector in ${ownNamespace} is ${describe(own)}.`,
    )
  }
  return fault(
    `The pods in ${namespace} are ${describe(mode)}, but the connector in ${ownNamespace} is ${describe(own)}, so a mesh with strict mTLS refuses its calls.`,
    `Add the connector to the mesh: kubectl label namespace ${ownNamespace} ${mode === 'ambient' ? 'istio.io/dataplane-mode=ambient' : 'istio-injection=enabled'}, then restart it. Or call the models through the gateway, with a token: credential.kind: token-file`,
  )
}

function describe(mode: MeshMode): string {
  if (mode === 'none') return 'outside the mesh'
  return mode === 'sidecar' ? 'in the mesh with sidecars' : 'in the mesh in ambient mode'
}
