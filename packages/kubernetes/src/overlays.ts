// Generates resources/overlays: variants of resources/mosquitto, for kustomize.
import { manifestParts } from './manifests.ts'
import type { KubernetesObject } from './object.ts'
import type { BrokerOptions } from './options.ts'

type Writer = (value: unknown, note: string) => string

interface Overlay {
  readonly options: BrokerOptions
  readonly note: string
  /** Labels of objects and pods that differ from the labels in the base. */
  readonly labels?: Readonly<Record<string, string>>
  /** Whether the overlay keeps every object of the base. */
  readonly isAddition?: true
  /** Changes to objects that are also in the base. */
  readonly patches: (find: (kind: string, name: string) => KubernetesObject) => readonly Patch[]
}

type Patch = Pick<KubernetesObject, 'apiVersion' | 'kind' | 'metadata'> & Readonly<Record<string, unknown>>

const HOST = 'mqtt.example.org'

/**
 * The broker in resources/, with access rules for a read-only user. When the password file contains this user,
 * MQTT Explorer can log in with it.
 */
export const RESOURCES_BROKER: BrokerOptions = { observers: ['admin'] }

// The overlays, keyed by their folder below resources/overlays.
const OVERLAYS: Readonly<Record<string, Overlay>> = {
  'mosquitto-secret': {
    options: { passwords: 'secret' },
    note: 'The password file as a Secret. To create secret-mosquitto-password.yaml: inferwire passwd --secret mosquitto-password',
    patches: (find) => {
      const { spec } = find('Deployment', 'mosquitto') as unknown as DeploymentLike
      const volume = spec.template.spec.volumes.find(({ name }) => name === 'password')
      return [
        // Without null, a strategic merge would keep the base's ConfigMap as a second source of the volume.
        deploymentPatch({ spec: { volumes: [{ ...volume, configMap: null }] } }),
      ]
    },
  },
  'mosquitto-tls': {
    options: { tls: { host: HOST, secretName: 'mosquitto-tls' } },
    note:
      `TLS and WebSocket through Traefik, for ${HOST} (change the name in the two files). Entry points "mqtts" and\n` +
      '"websecure"; the certificate is in the Secret mosquitto-tls:\n' +
      'kubectl create secret tls mosquitto-tls -n mosquitto --cert=tls.crt --key=tls.key\n' +
      'To close port 5883, which stays open: kubectl delete ingressroutetcp mosquitto -n mosquitto',
    isAddition: true,
    patches: () => [],
  },
  'mosquitto-2.1': {
    options: { version: '2.1' },
    note: 'Mosquitto 2.1: its image, and its persistence plugin.',
    labels: { 'app.kubernetes.io/version': '2.1' },
    patches: (find) => {
      const { spec } = find('Deployment', 'mosquitto') as unknown as DeploymentLike
      const { metadata, spec: pod } = spec.template
      const { apiVersion, kind, data } = find('ConfigMap', 'mosquitto-config')
      const changed = (data as Record<string, string>)['mosquitto.conf']
      return [
        { apiVersion, kind, metadata: named('mosquitto-config'), data: { 'mosquitto.conf': changed } },
        deploymentPatch({
          metadata: { annotations: metadata.annotations },
          spec: { containers: pod.containers.map(({ name, image }) => ({ name, image })) },
        }),
      ]
    },
  },
}

interface DeploymentLike {
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly annotations: unknown }
      readonly spec: {
        readonly volumes: readonly { readonly name: string }[]
        readonly containers: readonly { readonly name: string; readonly image: string }[]
      }
    }
  }
}

function deploymentPatch(template: object): Patch {
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: named('mosquitto'), spec: { template } }
}

function named(name: string): KubernetesObject['metadata'] {
  return { name, namespace: 'mosquitto' }
}

/** Returns the text of each file, keyed by its path below resources/. */
export function overlayFiles(
  fileName: (object: KubernetesObject) => string,
  write: Writer,
): [string, string][] {
  const base = manifestParts({ broker: RESOURCES_BROKER }).broker
  return Object.entries(OVERLAYS).flatMap(([name, { options, note, labels, isAddition, patches }]) => {
    const objects = manifestParts({ broker: { ...RESOURCES_BROKER, ...options } }).broker
    const added = objects.filter((object) => !isAmong(base, object))
    const removed = isAddition === true ? [] : base.filter((object) => !isAmong(objects, object))
    const changes = [
      ...removed.map(({ apiVersion, kind, metadata }) => ({
        $patch: 'delete',
        apiVersion,
        kind,
        metadata: { name: metadata.name, namespace: metadata.namespace },
      })),
      ...patches((kind, found) =>
        objects.find((object) => object.kind === kind && object.metadata.name === found)!,
      ),
    ]
    const kustomization = {
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: ['../../mosquitto', ...added.map(fileName)],
      ...(labels === undefined ? {} : { labels: [{ pairs: labels, includeTemplates: true }] }),
      ...(changes.length === 0 ? {} : { patches: changes.map((_, index) => ({ path: patchName(index) })) }),
    }
    const folder = `overlays/${name}`
    return [
      [`${folder}/kustomization.yaml`, write(kustomization, `${note}\nkubectl apply -k resources/${folder}`)],
      ...added.map((object): [string, string] => [`${folder}/${fileName(object)}`, write(object, '')]),
      ...changes.map((change, index): [string, string] => [
        `${folder}/${patchName(index)}`,
        write(change, ''),
      ]),
    ]
  })
}

function patchName(index: number): string {
  return `patch-${index + 1}.yaml`
}

function isAmong(objects: readonly KubernetesObject[], { kind, metadata }: KubernetesObject): boolean {
  return objects.some((object) => object.kind === kind && object.metadata.name === metadata.name)
}
