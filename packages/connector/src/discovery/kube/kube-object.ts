// The parts of a Kubernetes object that every kind has, and the place of a kind in the API.
import { configError, invalidResponse } from './kube-error.ts'

/** Metadata of an object; the first members are checked, the others are as the API server sends them. */
export interface KubeMetadata {
  readonly name: string
  /** Undefined for objects outside namespaces. */
  readonly namespace?: string
  readonly uid: string
  readonly resourceVersion: string
  readonly generation?: number
  readonly creationTimestamp?: string
  /** Set while the object is being deleted. */
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

/** Any Kubernetes object. Everything except the metadata's checked members is untrusted. */
export interface KubeObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: KubeMetadata
  readonly spec?: unknown
  readonly status?: unknown
  readonly [member: string]: unknown
}

/** Identifies an object. A new object with the name of a deleted one has a different `uid`. */
export interface ObjectRef {
  readonly namespace: string | undefined
  readonly name: string
  readonly uid: string
}

/** A kind of objects, by its place in the API. */
export interface KubeKind {
  /** API group; '' is the core group. */
  readonly group: string
  readonly version: string
  /** Plural name in paths, such as `inferenceservices`. */
  readonly plural: string
}

/** Returns `namespace/name`, or `/name` for an object outside namespaces. */
export function keyOf({
  namespace,
  name,
}: {
  readonly namespace?: string | undefined
  readonly name: string
}): string {
  return `${namespace ?? ''}/${name}`
}

/** Returns the path of a kind's objects: of one namespace, or of the whole cluster. @throws KubeError for a bad name */
export function collectionPath({ group, version, plural }: KubeKind, namespace?: string): string {
  for (const part of [group || 'core', version, plural, namespace ?? 'all']) {
    if (!/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(part)) {
      throw configError(
        `"${part}" is not a name that the Kubernetes API accepts`,
        'Use lower-case letters, digits, "-" and ".".',
      )
    }
  }
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
  return namespace === undefined ? `${root}/${plural}` : `${root}/namespaces/${namespace}/${plural}`
}

/** Checks that a value is an object with the members that identify it. @throws KubeError `InvalidResponse` */
export function asObject(value: unknown): KubeObject {
  const metadata = isRecord(value) ? value['metadata'] : undefined
  if (!isRecord(metadata)) throw invalidResponse('An object has no metadata')
  for (const member of ['name', 'uid', 'resourceVersion']) {
    if (typeof metadata[member] !== 'string' || metadata[member] === '') {
      throw invalidResponse(`An object has no metadata.${member}`)
    }
  }
  if (metadata['namespace'] !== undefined && typeof metadata['namespace'] !== 'string') {
    throw invalidResponse('An object has a metadata.namespace that is not text')
  }
  for (const member of ['labels', 'annotations']) {
    if (metadata[member] === null) delete (metadata as Record<string, unknown>)[member]
    else if (metadata[member] !== undefined && !isTextMap(metadata[member])) {
      throw invalidResponse(`An object has metadata.${member} that are not texts`)
    }
  }
  return value as KubeObject
}

/** Returns whether a value is a JSON object. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isTextMap(value: unknown): boolean {
  return isRecord(value) && Object.values(value).every((item) => typeof item === 'string')
}
