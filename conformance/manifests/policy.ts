// Finds mistakes in a set of objects that an API server does not report: in labels, selectors, ports, mounts,
// security settings, and volumes that two brokers share.
import type { KubernetesObject } from '@inferwire/kubernetes'

type Fields = Readonly<Record<string, unknown>>
type Labels = Readonly<Record<string, string>>

const RECOMMENDED = ['name', 'instance', 'version', 'component', 'part-of', 'managed-by'].map(
  (name) => `app.kubernetes.io/${name}`,
)

/** Objects that exist before the checked objects are applied. */
export interface Given {
  readonly secrets: readonly string[]
  readonly configMaps?: readonly string[]
}

interface Workload {
  readonly object: KubernetesObject
  readonly labels: Labels
  readonly pod: Fields
  readonly containers: readonly Fields[]
}

/** Returns the mistakes, one sentence each. */
export function policyMistakes(objects: readonly KubernetesObject[], given: Given): string[] {
  const workloads = objects.filter(({ spec }) => isFields(at(spec, 'template'))).map(workloadOf)
  return [
    ...identities(objects),
    ...objects.flatMap(labels),
    ...workloads.flatMap((workload) => [
      ...security(workload, objects),
      ...images(workload),
      ...mounts(workload),
      ...references(workload, objects, given),
      ...probes(workload),
      ...volumesOfOne(workload, objects),
    ]),
    ...objects.filter(({ kind }) => kind === 'Service').flatMap((each) => service(each, workloads)),
    ...objects.flatMap((each) => selectors(each, workloads)),
    ...objects.flatMap((each) => routes(each, objects)),
    ...accounts(objects, workloads),
  ]
}

function nameOf({ kind, metadata }: KubernetesObject): string {
  return `${kind} ${metadata.name}`
}

function identities(objects: readonly KubernetesObject[]): string[] {
  const seen = new Set<string>()
  return objects.flatMap((object) => {
    const { apiVersion, metadata } = object
    const identity = `${apiVersion} ${nameOf(object)} ${String(metadata.namespace)}`
    const isDouble = seen.has(identity)
    seen.add(identity)
    return [
      ...(isDouble ? [`${nameOf(object)} exists twice`] : []),
      ...(metadata.namespace === undefined && !object.kind.startsWith('ClusterRole')
        ? [`${nameOf(object)} has no namespace`]
        : []),
    ]
  })
}

// https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
function labels({ kind, metadata, spec }: KubernetesObject): string[] {
  const template = at(spec, 'template', 'metadata', 'labels') as Labels | undefined
  const selector = JSON.stringify(at(spec, 'selector') ?? at(spec, 'podSelector') ?? {})
  return [
    ...RECOMMENDED.filter((name) => !isLabelValue(metadata.labels?.[name])),
    ...RECOMMENDED.filter((name) => template !== undefined && !isLabelValue(template[name])),
  ]
    .map((name) => `${kind} ${metadata.name} has no label ${name}`)
    .concat(
      // A selector is immutable, so it must not contain these labels, which change with an upgrade.
      ['version', 'managed-by', 'chart']
        .filter((name) => selector.includes(`/${name}"`))
        .map((name) => `${kind} ${metadata.name} selects by the label ${name}`),
    )
}

function isLabelValue(value: string | undefined): boolean {
  return /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(value ?? '')
}

function workloadOf(object: KubernetesObject): Workload {
  const template = at(object['spec'], 'template')
  const pod = at(template, 'spec') as Fields
  return {
    object,
    labels: (at(template, 'metadata', 'labels') ?? {}) as Labels,
    pod,
    containers: list(pod['containers']),
  }
}

// Checks that a pod meets the restricted Pod Security Standard, and that the root file systems of its
// containers are read-only.
function security({ object, pod, containers }: Workload, objects: readonly KubernetesObject[]): string[] {
  const context = at(pod, 'securityContext')
  const wanted: [unknown, string][] = [
    [at(context, 'runAsNonRoot') === true, 'may run as root'],
    [Number(at(context, 'runAsUser')) > 0, 'does not select a user other than root'],
    [at(context, 'seccompProfile', 'type') === 'RuntimeDefault', 'has no seccomp profile'],
    [
      pod['automountServiceAccountToken'] === false || isBound(pod['serviceAccountName'], objects),
      "mounts the API server's token",
    ],
    [pod['enableServiceLinks'] === false, 'has environment variables for all Services'],
    [pod['hostNetwork'] === undefined && pod['hostPID'] === undefined, "uses the host's namespaces"],
    ...containers.flatMap((container): [unknown, string][] => {
      const own = at(container, 'securityContext')
      return [
        [at(own, 'allowPrivilegeEscalation') === false, 'may gain privileges'],
        [at(own, 'readOnlyRootFilesystem') === true, 'may write to its root file system'],
        [list(at(own, 'capabilities', 'drop')).includes('ALL' as never), 'keeps capabilities'],
        [at(container, 'resources', 'limits', 'memory') !== undefined, 'has no memory limit'],
        [at(container, 'resources', 'requests', 'memory') !== undefined, 'has no memory request'],
        [mebibytes(container, 'requests') <= mebibytes(container, 'limits'), 'requests more than its limit'],
      ]
    }),
  ]
  return wanted.filter(([isGood]) => isGood !== true).map(([, what]) => `${nameOf(object)} ${what}`)
}

function mebibytes(container: Fields, kind: 'requests' | 'limits'): number {
  const memory = String(at(container, 'resources', kind, 'memory'))
  return Number.parseInt(memory, 10) * (memory.endsWith('Gi') ? 1024 : 1)
}

function images({ object, containers }: Workload): string[] {
  return containers
    .map(({ image }) => String(image))
    .filter((image) => !/(?::[^:/]+|@sha256:[0-9a-f]{64})$/.test(image) || image.endsWith(':latest'))
    .map((image) => `${nameOf(object)} has the image ${image}, which is not pinned`)
}

function mounts({ object, pod, containers }: Workload): string[] {
  const volumes = list(pod['volumes']).map(({ name }) => name)
  const mounted = containers.flatMap((container) => list(container['volumeMounts']))
  return [
    ...mounted
      .filter(({ name }) => !volumes.includes(name))
      .map(({ name }) => `${nameOf(object)} mounts ${String(name)}, which is not a volume`),
    ...volumes
      .filter((name) => !mounted.some((mount) => mount['name'] === name))
      .map((name) => `${nameOf(object)} has the volume ${String(name)}, which is not mounted`),
    ...mounted
      // A subPath mount does not follow changes of its ConfigMap or Secret.
      .filter(({ subPath }) => subPath !== undefined)
      .map(({ name }) => `${nameOf(object)} mounts ${String(name)} by subPath`),
  ]
}

function references({ object, pod }: Workload, objects: readonly KubernetesObject[], given: Given): string[] {
  const exists = (kind: string, name: unknown): boolean =>
    (kind === 'Secret' && given.secrets.includes(String(name))) ||
    (kind === 'ConfigMap' && given.configMaps?.includes(String(name))) ||
    objects.some(
      (each) =>
        each.kind === kind &&
        each.metadata.name === name &&
        each.metadata.namespace === object.metadata.namespace,
    )
  const named = list(pod['volumes']).flatMap((volume): [string, unknown][] => {
    const found: [string, unknown][] = [
      ['ConfigMap', at(volume, 'configMap', 'name')],
      ['Secret', at(volume, 'secret', 'secretName')],
      ['PersistentVolumeClaim', at(volume, 'persistentVolumeClaim', 'claimName')],
    ]
    return found.filter(([, name]) => name !== undefined)
  })
  const account = pod['serviceAccountName']
  if (account !== undefined) named.push(['ServiceAccount', account])
  return named
    .filter(([kind, name]) => !exists(kind, name))
    .map(([kind, name]) => `${nameOf(object)} needs ${kind} ${String(name)}, which does not exist`)
}

function probes({ object, containers }: Workload): string[] {
  return containers.flatMap((container) => {
    const ports = list(container['ports']).map(({ name }) => name)
    return ['startupProbe', 'livenessProbe', 'readinessProbe'].flatMap((probe) => {
      const port = at(container, probe, 'httpGet', 'port') ?? at(container, probe, 'tcpSocket', 'port')
      return ports.includes(port) ? [] : [`${nameOf(object)} has no port for its ${probe}`]
    })
  })
}

// Two brokers on one volume would overwrite each other's queues.
function volumesOfOne({ object, pod, labels }: Workload, objects: readonly KubernetesObject[]): string[] {
  const claims = list(pod['volumes']).map((volume) => at(volume, 'persistentVolumeClaim', 'claimName'))
  return claims
    .filter((claim) => typeof claim === 'string')
    .flatMap((claim) => {
      const volume = objects.find(
        ({ kind, metadata }) => kind === 'PersistentVolumeClaim' && metadata.name === claim,
      )
      const modes = list(at(volume?.['spec'], 'accessModes')) as readonly unknown[]
      const isOne =
        at(object['spec'], 'replicas') === 1 &&
        at(object['spec'], 'strategy', 'type') === 'Recreate' &&
        // ReadWriteOnce does not prevent a second pod on the same node from using the volume.
        list(at(pod, 'affinity', 'podAntiAffinity', 'requiredDuringSchedulingIgnoredDuringExecution')).some(
          ({ topologyKey, labelSelector }) =>
            topologyKey === 'kubernetes.io/hostname' &&
            isMatch(at(labelSelector, 'matchLabels') as Labels, labels),
        ) &&
        modes.every((mode) => mode === 'ReadWriteOnce' || mode === 'ReadWriteOncePod')
      return isOne ? [] : [`${nameOf(object)} can have two pods on the volume ${claim}`]
    })
}

function service(object: KubernetesObject, workloads: readonly Workload[]): string[] {
  const selector = at(object['spec'], 'selector') as Labels
  const selected = inNamespaceOf(object, workloads).filter(({ labels }) => isMatch(selector, labels))
  if (selected.length !== 1) return [`${nameOf(object)} selects ${selected.length} workloads`]
  const ports = selected.flatMap(({ containers }) => containers.flatMap(({ ports: own }) => list(own)))
  return list(at(object['spec'], 'ports')).flatMap(({ targetPort, name }) => [
    ...(ports.some((port) => port['name'] === targetPort)
      ? []
      : [`${nameOf(object)} targets the port ${String(targetPort)}, which no container has`]),
    ...(/^[a-z0-9-]{1,15}$/.test(String(name))
      ? []
      : [`${nameOf(object)} has a port with the name ${String(name)}`]),
  ])
}

function selectors(object: KubernetesObject, workloads: readonly Workload[]): string[] {
  const { kind, spec } = object
  const own = inNamespaceOf(object, workloads)
  const selects = (labels: unknown): boolean => own.some((each) => isMatch(labels as Labels, each.labels))
  if (kind === 'Deployment' || kind === 'StatefulSet') {
    const isOwn = isMatch(at(spec, 'selector', 'matchLabels') as Labels, workloadOf(object).labels)
    return isOwn ? [] : [`${nameOf(object)} does not select its own pods`]
  }
  if (kind === 'PodDisruptionBudget') {
    return selects(at(spec, 'selector', 'matchLabels')) ? [] : [`${nameOf(object)} selects nothing`]
  }
  if (kind !== 'NetworkPolicy') return []
  const peers = list(at(spec, 'ingress')).flatMap((rule) => list(rule['from']))
  const ports = list(at(spec, 'ingress')).flatMap((rule) => list(rule['ports']).map(({ port }) => port))
  const open = own
    .filter(({ labels }) => isMatch(at(spec, 'podSelector', 'matchLabels') as Labels, labels))
    .flatMap(({ containers }) => containers.flatMap(({ ports: each }) => list(each)))
    .map(({ containerPort }) => containerPort)
  // Istio's gateways are not among the objects.
  const isForGateway = object.metadata.namespace === 'istio-system'
  return [
    ...(open.length > 0 || isForGateway ? [] : [`${nameOf(object)} selects nothing`]),
    ...ports
      // ztunnel listens on 15008 in the pod's network namespace.
      .filter((port) => !open.includes(port) && port !== 15_008 && !isForGateway)
      .map((port) => `${nameOf(object)} opens port ${String(port)}, on which no container listens`),
    ...peers
      .filter((peer) => at(peer, 'namespaceSelector', 'matchLabels') !== undefined)
      .filter((peer) => !isPeer(peer, workloads))
      .map(() => `${nameOf(object)} admits pods that do not exist`),
  ]
}

function isPeer(peer: Fields, workloads: readonly Workload[]): boolean {
  const namespace = at(peer, 'namespaceSelector', 'matchLabels', 'kubernetes.io/metadata.name')
  const labels = at(peer, 'podSelector', 'matchLabels') as Labels
  return workloads.some(
    (each) => each.object.metadata.namespace === namespace && isMatch(labels, each.labels),
  )
}

function routes(object: KubernetesObject, objects: readonly KubernetesObject[]): string[] {
  const { kind, spec } = object
  const isPlainTcp = kind === 'IngressRouteTCP' && at(spec, 'tls') === undefined
  const rules = [...list(at(spec, 'routes')), ...(kind === 'TCPRoute' ? list(at(spec, 'rules')) : [])]
  const targets = rules.flatMap((rule) => list(rule['services'] ?? rule['backendRefs']))
  return [
    // A connection without TLS names no host, so only the rule for any host matches it.
    ...rules
      .filter(({ match }) => isPlainTcp && match !== 'HostSNI(`*`)')
      .map(({ match }) => `${nameOf(object)} has the rule ${String(match)} without TLS`),
    ...targets
      .filter((target) => !isServicePort(target, object, objects))
      .map((target) => {
        return `${nameOf(object)} targets ${String(target['name'])}:${String(target['port'])}, which is not a Service`
      }),
  ]
}

function isServicePort(
  target: Fields,
  from: KubernetesObject,
  objects: readonly KubernetesObject[],
): boolean {
  return objects.some(
    ({ kind, metadata, spec }) =>
      kind === 'Service' &&
      metadata.name === target['name'] &&
      metadata.namespace === from.metadata.namespace &&
      list(at(spec, 'ports')).some(({ port }) => port === target['port']),
  )
}

function accounts(objects: readonly KubernetesObject[], workloads: readonly Workload[]): string[] {
  const roles = objects.filter(({ kind }) => kind === 'Role' || kind === 'ClusterRole')
  const rules = roles.flatMap((role) => list(role['rules']))
  const tooMuch = rules.filter((rule) =>
    ['verbs', 'resources', 'apiGroups'].some((key) => list(rule[key]).includes('*' as never)),
  )
  const bindings = objects.filter(isBinding)
  const lost = bindings.filter(
    ({ roleRef, subjects }) =>
      !roles.some(({ metadata }) => metadata.name === at(roleRef, 'name')) ||
      !list(subjects).every(({ name }) => workloads.some(({ pod }) => pod['serviceAccountName'] === name)),
  )
  return [
    ...tooMuch.map(() => 'a role has a wildcard'),
    ...lost.map((binding) => `${nameOf(binding)} binds a role or account that does not exist`),
  ]
}

function isBinding({ kind }: KubernetesObject): boolean {
  return kind === 'RoleBinding' || kind === 'ClusterRoleBinding'
}

// Returns whether an account has permissions, and thus needs a token for the API server.
function isBound(account: unknown, objects: readonly KubernetesObject[]): boolean {
  return objects.filter(isBinding).some(({ subjects }) => list(subjects).some(({ name }) => name === account))
}

function inNamespaceOf(object: KubernetesObject, workloads: readonly Workload[]): readonly Workload[] {
  return workloads.filter((each) => each.object.metadata.namespace === object.metadata.namespace)
}

function isMatch(selector: Labels | undefined, labels: Labels): boolean {
  const wanted = Object.entries(selector ?? {})
  return wanted.length > 0 && wanted.every(([key, value]) => labels[key] === value)
}

/** Returns the field at a path of nested maps; undefined if absent. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((found, key) => (isFields(found) ? found[key] : undefined), value)
}

function list(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? (value as Fields[]) : []
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
