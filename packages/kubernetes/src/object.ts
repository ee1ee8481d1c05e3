// The structure of a Kubernetes object, and the labels and security settings that all generated objects share.

/** A Kubernetes object as data: the content of a manifest. */
export interface KubernetesObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly [field: string]: unknown
}

/** Identity of an object. */
export interface ObjectMeta {
  readonly name: string
  /** Absent for cluster-scoped objects. */
  readonly namespace?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

/** The name and namespace of an installed program, and the label by which its pods are selected. */
export interface Place {
  readonly name: string
  readonly namespace: string
  /** Label `app.kubernetes.io/instance`. @default name */
  readonly instance?: string
}

/** An installed program's place and version. */
export interface Installed extends Place {
  readonly version: string
}

// The value of the label `app.kubernetes.io/component` for each program.
const COMPONENTS = { inferwire: 'connector', mosquitto: 'broker' } as const

/** An installed program; also the value of the label `app.kubernetes.io/name`. */
export type App = keyof typeof COMPONENTS

/** Returns the labels that select the pods of one program. They never change, because selectors are immutable. */
export function selectorLabels(app: App, { name, instance = name }: Place): Record<string, string> {
  return { 'app.kubernetes.io/name': app, 'app.kubernetes.io/instance': instance }
}

/** Returns the labels that Kubernetes recommends, for objects and pods. */
export function labelsOf(app: App, installed: Installed): Record<string, string> {
  return {
    ...selectorLabels(app, installed),
    'app.kubernetes.io/version': installed.version,
    'app.kubernetes.io/component': COMPONENTS[app],
    'app.kubernetes.io/part-of': 'inferwire',
    'app.kubernetes.io/managed-by': 'kubectl',
  }
}

/** Returns the name, namespace and labels of an object. `suffix` distinguishes it from other objects of the program. */
export function metaOf(app: App, installed: Installed, suffix = ''): ObjectMeta {
  return {
    name: `${installed.name}${suffix}`,
    namespace: installed.namespace,
    labels: labelsOf(app, installed),
  }
}

/** Returns a pod's security context, as the `restricted` Pod Security Standard requires. */
export function podSecurity(id: number): Record<string, unknown> {
  return {
    runAsNonRoot: true,
    runAsUser: id,
    runAsGroup: id,
    fsGroup: id,
    // Skips the recursive change of ownership on a volume whose root already has the right owner.
    fsGroupChangePolicy: 'OnRootMismatch',
    seccompProfile: { type: 'RuntimeDefault' },
  }
}

/** Returns the security context of a container that writes only to its volumes. */
export function containerSecurity(): Record<string, unknown> {
  return {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  }
}

/**
 * Returns tolerations that evict a pod 30 s after its node is lost; a client that waits for a reply should not
 * have to wait for Kubernetes' default of 300 s. A StatefulSet replaces the pod only after the node returns, is
 * deleted, or is tainted `out-of-service`.
 */
export function lostNodeTolerations(): Record<string, unknown>[] {
  return ['not-ready', 'unreachable'].map((condition) => ({
    key: `node.kubernetes.io/${condition}`,
    operator: 'Exists',
    effect: 'NoExecute',
    tolerationSeconds: 30,
  }))
}

/** `defaultMode` of ConfigMap and Secret volumes: readable by root and by the pod's group (fsGroup) only. */
export const GROUP_MAY_READ = 0o440
