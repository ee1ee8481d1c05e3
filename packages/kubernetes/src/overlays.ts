// Variants of resources/mosquitto as kustomize overlays: each is the base, and what differs.
import { manifestParts } from './manifests.ts'
import type { KubernetesObject } from './object.ts'
import type { BrokerOptions } from './options.ts'

type Writer = (value: unknown, note: string) => string

interface Overlay {
  readonly options: BrokerOptions
  readonly note: string
  /** Takes nothing of the base away. */
  readonly isAddition?: true
  /** Changes of objects of the base, beside those that are added and removed. */
  readonly patches: (find: (kind: string, name: string) => KubernetesObject) => readonly Patch[]
}

type Patch = Pick<KubernetesObject, 'apiVersion' | 'kind' | 'metadata'> & Readonly<Record<string, unknown>>

const HOST = 'mqtt.example.org'

// By folder below resources/overlays.
const OVERLAYS: Readonly<Record<string, Overlay>> = {
  'mosquitto-secret': {
    options: { passwords: 'secret' },
    note: 'The password file as a Secret. Replace secret-mosquitto-password.yaml: inferwire passwd --secret mosquitto-password',
    patches: (find) => {
      const { spec } = find('Deployment', 'mosquitto') as unknown as DeploymentLike
      const volume = spec.template.spec.volumes.find(({ name }) => name === 'password')
      return [
        // Null takes the base's source away: strategic merge would keep both.
        deploymentPatch({ spec: { volumes: [{ ...volume, configMap: null }] } }),
      ]
    },
  },
  'mosquitto-tls': {
    options: { tls: { host: HOST, secretName: 'mosquitto-tls' } },
    note:
      `TLS and WebSocket through Traefik, for ${HOST}: entry points "mqtts" and "websecure", certificate in the Secret\n` +
      'mosquitto-tls (kubectl create secret tls mosquitto-tls -n mosquitto --cert=tls.crt --key=tls.key). Change the name in the two files.\n' +
      'Port 5883 stays open beside it: kubectl delete ingressroutetcp mosquitto -n mosquitto',
    isAddition: true,
    patches: () => [],
  },
  'mosquitto-2.1': {
    options: { version: '2.1' },
    note: 'Mosquitto 2.1: its image, and its way to save the queues.',
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

/** Path below resources/ and text of every file of every overlay. */
export function overlayFiles(
  fileName: (object: KubernetesObject) => string,
  write: Writer,
): [string, string][] {
  const base = manifestParts().broker
  return Object.entries(OVERLAYS).flatMap(([name, { options, note, isAddition, patches }]) => {
    const objects = manifestParts({ broker: options }).broker
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
