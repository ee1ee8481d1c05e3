// What every Kubernetes object has, and the labels that ours carry.

/** A Kubernetes object as data: what a manifest says. */
export interface KubernetesObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly [field: string]: unknown
}

/** Who an object is. */
export interface ObjectMeta {
  readonly name: string
  /** Left out where the namespace is the object itself. */
  readonly namespace?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

/** Name and namespace of a program that is installed. */
export interface Place {
  readonly name: string
  readonly namespace: string
}

/** The labels that select the pods of one program; they never change, because a selector cannot. */
export function selectorLabels(app: string, { name }: Place): Record<string, string> {
  return { 'app.kubernetes.io/name': app, 'app.kubernetes.io/instance': name }
}

/** Name, namespace and labels of an object; `suffix` tells it from the others of its program. */
export function metaOf(app: string, place: Place, suffix = ''): ObjectMeta {
  return {
    name: `${place.name}${suffix}`,
    namespace: place.namespace,
    labels: { ...selectorLabels(app, place), 'app.kubernetes.io/part-of': 'inferwire' },
  }
}

/** The security context of a pod that the restricted Pod Security Standard admits. */
export function podSecurity(id: number): Record<string, unknown> {
  return {
    runAsNonRoot: true,
    runAsUser: id,
    runAsGroup: id,
    fsGroup: id,
    // A volume that is right already is not walked at every start.
    fsGroupChangePolicy: 'OnRootMismatch',
    seccompProfile: { type: 'RuntimeDefault' },
  }
}

/** The security context of a container that writes to its volumes only. */
export function containerSecurity(): Record<string, unknown> {
  return {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  }
}

/**
 * How long a pod stays on a node that is lost: Kubernetes' own 300 s is long for who waits for an answer. A pod of a
 * StatefulSet is replaced only when its node comes back, is deleted, or is tainted `out-of-service`.
 */
export function lostNodeTolerations(): Record<string, unknown>[] {
  return ['not-ready', 'unreachable'].map((condition) => ({
    key: `node.kubernetes.io/${condition}`,
    operator: 'Exists',
    effect: 'NoExecute',
    tolerationSeconds: 30,
  }))
}

/** `defaultMode` of volumes with ConfigMaps and Secrets: for the group of the pod (fsGroup), and nobody else. */
export const GROUP_MAY_READ = 0o440
