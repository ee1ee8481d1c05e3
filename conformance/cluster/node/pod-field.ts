// Reads fields of a pod for the downward API.
import type { KubeObject } from '../kube-api.ts'
import { NODE_ADDRESS } from './network.ts'
import { NODE_NAME } from './node-name.ts'

/** Returns the value of a `fieldPath`. */
export function podField(pod: KubeObject, path: string): string {
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path)
  if (keyed !== null) return pod.metadata[keyed[1]!]?.[keyed[2]!] ?? ''
  switch (path) {
    case 'metadata.name':
    case 'metadata.namespace':
    case 'metadata.uid':
      return pod.metadata[path.slice('metadata.'.length)]
    case 'spec.nodeName':
      return NODE_NAME
    case 'spec.serviceAccountName':
      return pod.spec.serviceAccountName
    case 'status.podIP':
      return pod.status.podIP
    case 'status.hostIP':
      return NODE_ADDRESS
    default:
      throw new Error(`The field "${path}" of a pod is not implemented.`)
  }
}
