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

/** Ports of Traefik's entry points for MQTT, without and with TLS. */
export type EntryPorts = Readonly<Record<'mqtt' | 'mqtts', number>>

/** The ports that the broker's options imply: `externalPort` is that of the entry point in use. */
export function entryPorts(options: BrokerOptions = {}): EntryPorts {
  const { tls, externalPort } = completeBroker({ ...options, expose: 'traefik' })
  const defaults = { mqtt: 5883, mqtts: 8883 }
  return tls === undefined ? { ...defaults, mqtt: externalPort } : { ...defaults, mqtts: externalPort }
}

/** Values for Traefik's Helm chart 27 and later; before 27, `expose` was a boolean. */
export function traefikHelmValues(ports: EntryPorts = entryPorts()): Record<string, unknown> {
  return {
    ports: {
      // Otherwise a route without entry points is attached to mqtt as well.
      web: { asDefault: true },
      websecure: { asDefault: true },
      mqtt: entryPort(ports.mqtt),
      mqtts: entryPort(ports.mqtts),
    },
  }
}

function entryPort(port: number): Record<string, unknown> {
  return { port, expose: { default: true }, exposedPort: port, protocol: 'TCP' }
}

/** For the Traefik that k3s installs: k3s reverts changes of its Deployment. */
export function k3sHelmChartConfig(): KubernetesObject {
  return {
    apiVersion: 'helm.cattle.io/v1',
    kind: 'HelmChartConfig',
    metadata: { name: 'traefik', namespace: 'kube-system' },
    spec: { valuesContent: yamlText(traefikHelmValues()) },
  }
}

/** For a Deployment that was installed without Helm: the argument and the container's port. */
export function traefikDeploymentPatch(entry: keyof EntryPorts): PatchStep[] {
  const container = '/spec/template/spec/containers/0'
  const port = entryPorts()[entry]
  return [
    { op: 'add', path: `${container}/args/-`, value: `--entrypoints.${entry}.address=:${port}/tcp` },
    {
      op: 'add',
      path: `${container}/ports/-`,
      value: { name: entry, containerPort: port, protocol: 'TCP' },
    },
  ]
}

/** For its Service, which must expose the port to clients outside of the cluster. */
export function traefikServicePatch(entry: keyof EntryPorts): PatchStep[] {
  return [
    {
      op: 'add',
      path: '/spec/ports/-',
      value: { name: entry, port: entryPorts()[entry], targetPort: entry, protocol: 'TCP' },
    },
  ]
}
