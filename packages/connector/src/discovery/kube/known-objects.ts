// Remembers which version of each object the consumer has, so that it learns only about real differences.
import { keyOf, type KubeObject, type ObjectRef } from './kube-object.ts'

/** Takes the differences. */
export interface ObjectSink {
  /** An object is new or has changed. */
  set(object: KubeObject): void
  /** An object no longer exists, or cannot be read any more. */
  deleted(ref: ObjectRef): void
}

interface Known {
  readonly namespace: string | undefined
  readonly name: string
  readonly uid: string
  resourceVersion: string
  /** The last list that contained the object. */
  list: number
}

/** The objects that the consumer has; as many as the API server has. Keeps only names and versions. */
export class KnownObjects {
  readonly #sink: ObjectSink
  readonly #known = new Map<string, Known>()
  #list = 0

  constructor(sink: ObjectSink) {
    this.#sink = sink
  }

  get size(): number {
    return this.#known.size
  }

  /** Begins a list: `endList` reports the objects that were not set in between as deleted. */
  beginList(): void {
    this.#list += 1
  }

  /** Ends a complete list. */
  endList(): void {
    for (const [key, known] of this.#known) if (known.list !== this.#list) this.#drop(key, known)
  }

  /** Takes the current version of an object. */
  set(object: KubeObject): void {
    const { name, namespace, uid, resourceVersion } = object.metadata
    const key = keyOf(object.metadata)
    const known = this.#known.get(key)
    if (known?.uid === uid) {
      known.list = this.#list
      if (known.resourceVersion === resourceVersion) return
      known.resourceVersion = resourceVersion
    } else {
      // The name belongs to a different object now.
      if (known !== undefined) this.#drop(key, known)
      this.#known.set(key, { namespace, name, uid, resourceVersion, list: this.#list })
    }
    this.#sink.set(object)
  }

  /** Takes a deletion. `uid` undefined = any object with this name. Returns false if no such object is known. */
  delete(ref: Readonly<{ namespace?: string | undefined; name: string; uid?: string | undefined }>): boolean {
    const key = keyOf(ref)
    const known = this.#known.get(key)
    if (known === undefined || (ref.uid !== undefined && known.uid !== ref.uid)) return false
    this.#drop(key, known)
    return true
  }

  /** Reports all objects as deleted. */
  clear(): void {
    for (const [key, known] of this.#known) this.#drop(key, known)
  }

  #drop(key: string, { namespace, name, uid }: Known): void {
    this.#known.delete(key)
    this.#sink.deleted({ namespace, name, uid })
  }
}
