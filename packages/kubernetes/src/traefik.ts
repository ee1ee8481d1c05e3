// Traefik's part of the installation: an entry point for MQTT, and its port on Traefik's Service.
import type { KubernetesObject } from './object.ts'
import { completeBroker, type BrokerOptions } from './options.ts'
import { yamlText } from './yaml.ts'

/** One operation of a JSON Patch (RFC 6902), for `kubectl patch --type=json`. */
export interface PatchStep {
  readonly op: 'add'
  readonly path: string
  readonly value: unknown
}

/** Traefik's entry points for MQTT: without TLS, and with TLS. */
export type EntryName = 'mqtt' | 'mqtts'

/** The port of each entry point to create. */
export type EntryPorts = Readonly<Partial<Record<EntryName, number>>>

const DEFAULT_PORTS: Readonly<Record<EntryName, number>> = { mqtt: 5883, mqtts: 8883 }

/**
 * Returns the ports for the broker's options: `externalPort` is the port of the entry point in use. The other entry
 * point is omitted if its default port is the same as `externalPort`.
 */
export function entryPorts(options: BrokerOptions = {}): EntryPorts {
  const { tls, externalPort } = completeBroker({ ...options, expose: 'traefik' })
  const used: EntryName = tls === undefined ? 'mqtt' : 'mqtts'
  const ports = { ...DEFAULT_PORTS, [used]: externalPort }
  return ports.mqtt === ports.mqtts ? { [used]: externalPort } : ports
}

/** Returns values for Traefik's Helm chart 27 and later; before 27, `expose` was a boolean. */
export function traefikHelmValues(ports: EntryPorts = entryPorts()): Record<string, unknown> {
  return {
    ports: {
      // Without default entry points, Traefik would also attach a route without entry points to mqtt.
      web: { asDefault: true },
      websecure: { asDefault: true },
      ...Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, entryPort(port)])),
    },
  }
}

function entryPort(port: number): Record<string, unknown> {
  return { port, expose: { default: true }, exposedPort: port, protocol: 'TCP' }
}

/** Returns values for the Traefik that k3s installs. k3s reverts all changes to the Deployment of that Traefik. */
export function k3sHelmChartConfig(): KubernetesObject {
  return {
    apiVersion: 'helm.cattle.io/v1',
    kind: 'HelmChartConfig',
    metadata: { name: 'traefik', namespace: 'kube-system' },
    spec: { valuesContent: yamlText(traefikHelmValues()) },
  }
}

/** Returns the patch that adds an argument and a container port to a Deployment that Helm did not install. */
export function traefikDeploymentPatch(entry: EntryName): PatchStep[] {
  const container = '/spec/template/spec/containers/0'
  const port = DEFAULT_PORTS[entry]
  return [
    { op: 'add', path: `${container}/args/-`, value: `--entrypoints.${entry}.address=:${port}/tcp` },
    {
      op: 'add',
      path: `${container}/ports/-`,
      value: { name: entry, containerPort: port, protocol: 'TCP' },
    },
  ]
}

/** Returns the patch for Traefik's Service, which must expose the port to clients outside the cluster. */
export function traefikServicePatch(entry: EntryName): PatchStep[] {
  return [
    {
      op: 'add',
      path: '/spec/ports/-',
      value: { name: entry, port: DEFAULT_PORTS[entry], targetPort: entry, protocol: 'TCP' },
    },
  ]
}
