// What Traefik itself must be told: an entry point for MQTT, and its port on Traefik's Service.
import { ENTRY_PORTS } from './mosquitto/index.ts'
import type { KubernetesObject } from './object.ts'
import { yamlText } from './yaml.ts'

/** One change of a JSON Patch (RFC 6902), as `kubectl patch --type=json` takes it. */
export interface PatchStep {
  readonly op: 'add'
  readonly path: string
  readonly value: unknown
}

/** An entry point of Traefik: MQTT as it is, and over TLS. */
export type EntryPoint = keyof typeof ENTRY_PORTS

/** Values for Traefik's Helm chart, 27 and later: before, `expose` was true or false. */
export function traefikHelmValues(): Record<string, unknown> {
  return {
    ports: {
      // Otherwise a route that names no entry point is attached to mqtt as well.
      web: { asDefault: true },
      websecure: { asDefault: true },
      mqtt: entryPort(ENTRY_PORTS.mqtt),
      mqtts: entryPort(ENTRY_PORTS.mqtts),
    },
  }
}

function entryPort(port: number): Record<string, unknown> {
  return { port, expose: { default: true }, exposedPort: port, protocol: 'TCP' }
}

/** For the Traefik that k3s brings: an edited Deployment would be put back. */
export function k3sHelmChartConfig(): KubernetesObject {
  return {
    apiVersion: 'helm.cattle.io/v1',
    kind: 'HelmChartConfig',
    metadata: { name: 'traefik', namespace: 'kube-system' },
    spec: { valuesContent: yamlText(traefikHelmValues()) },
  }
}

/** For a Deployment of one's own: the argument and the container's port. */
export function traefikDeploymentPatch(entry: EntryPoint): PatchStep[] {
  const container = '/spec/template/spec/containers/0'
  const port = ENTRY_PORTS[entry]
  return [
    { op: 'add', path: `${container}/args/-`, value: `--entrypoints.${entry}.address=:${port}/tcp` },
    {
      op: 'add',
      path: `${container}/ports/-`,
      value: { name: entry, containerPort: port, protocol: 'TCP' },
    },
  ]
}

/** For its Service; without it nobody outside reaches the entry point. */
export function traefikServicePatch(entry: EntryPoint): PatchStep[] {
  return [
    {
      op: 'add',
      path: '/spec/ports/-',
      value: { name: entry, port: ENTRY_PORTS[entry], targetPort: entry, protocol: 'TCP' },
    },
  ]
}
