// Stands in for a storage class: creates a folder for each claim, and keeps it until the cluster is stopped.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { KubeApi } from '../kube-api.ts'

/** Creates a volume for every claim until the signal is aborted. The controller manager binds the volumes. */
export async function startVolumeProvisioner(
  api: KubeApi,
  folder: string,
  signal: AbortSignal,
): Promise<void> {
  const made = new Set<string>()
  await api.watch('/api/v1/persistentvolumeclaims', signal, (claim, isDeleted) => {
    const { uid, name, namespace } = claim.metadata
    if (isDeleted || made.has(uid) || claim.spec.volumeName !== undefined) return
    made.add(uid)
    const path = join(folder, uid)
    mkdirSync(path, { recursive: true })
    const { storageClassName, accessModes, resources } = claim.spec
    void api.create('/api/v1/persistentvolumes', {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: `pvc-${uid}` },
      spec: {
        capacity: { storage: resources.requests.storage },
        accessModes,
        ...(storageClassName === undefined ? {} : { storageClassName }),
        persistentVolumeReclaimPolicy: 'Retain',
        hostPath: { path },
        claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid },
      },
    })
  })
}
