// Labels and annotations that put the connector's pod into Istio's mesh.
import type { Connector } from '../options.ts'
import { isMeshConnector, wayOf } from './way.ts'

/** Additional metadata of the pod. */
interface PodMeta {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

// As a native sidecar, the proxy starts before the connector and ends after it (Kubernetes 1.29 and Istio 1.24, or
// later). Older versions ignore the annotation: the proxy then ends when it has no connections left.
const SIDECAR: PodMeta = {
  labels: { 'sidecar.istio.io/inject': 'true' },
  annotations: {
    'sidecar.istio.io/nativeSidecar': 'true',
    'proxy.istio.io/config':
      'holdApplicationUntilProxyStarts: true\nproxyMetadata:\n  EXIT_ON_ZERO_ACTIVE_CONNECTIONS: "true"',
  },
}

const AMBIENT: PodMeta = {
  labels: { 'istio.io/dataplane-mode': 'ambient', 'sidecar.istio.io/inject': 'false' },
}

/** Returns the metadata; undefined for a connector that is not in the mesh. */
export function meshPodMeta(connector: Connector): PodMeta | undefined {
  if (!isMeshConnector(connector) || wayOf(connector) === 'gateway') return undefined
  return connector.kubeflow.ambient ? AMBIENT : SIDECAR
}
