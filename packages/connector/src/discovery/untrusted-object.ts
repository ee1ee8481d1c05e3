// Reads values out of Kubernetes objects, whose content is untrusted: each reader returns undefined for a value of another type.

/** A Kubernetes object as parsed from JSON. */
export type UntrustedObject = Readonly<Record<string, unknown>>

// Limits the entries that are read from a list, such as conditions or arguments.
const ENTRIES_MAX = 200

/** Returns the value at a path of own properties; undefined if there is none. */
export function valueAt(value: unknown, ...path: readonly string[]): unknown {
  let found = value
  for (const key of path) {
    if (!isMap(found) || !Object.hasOwn(found, key)) return undefined
    found = found[key]
  }
  return found
}

/** Returns the text at a path; undefined for an empty text. */
export function textAt(value: unknown, ...path: readonly string[]): string | undefined {
  const found = valueAt(value, ...path)
  return typeof found === 'string' && found !== '' ? found : undefined
}

/** Returns the finite number at a path. */
export function numberAt(value: unknown, ...path: readonly string[]): number | undefined {
  const found = valueAt(value, ...path)
  return typeof found === 'number' && Number.isFinite(found) ? found : undefined
}

/** Returns the map at a path. */
export function mapAt(value: unknown, ...path: readonly string[]): UntrustedObject | undefined {
  const found = valueAt(value, ...path)
  return isMap(found) ? found : undefined
}

/** Returns the first 200 entries of the list at a path; empty if there is no list. */
export function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = valueAt(value, ...path)
  return Array.isArray(found) ? found.slice(0, ENTRIES_MAX) : []
}

/** Returns the maps among the first 200 entries of the list at a path. */
export function mapsAt(value: unknown, ...path: readonly string[]): readonly UntrustedObject[] {
  return listAt(value, ...path).filter(isMap)
}

/** Returns the value of an annotation. */
export function annotationOf(object: UntrustedObject, name: string): string | undefined {
  return textAt(object, 'metadata', 'annotations', name)
}

/** Returns the value of a label. */
export function labelOf(object: UntrustedObject, name: string): string | undefined {
  return textAt(object, 'metadata', 'labels', name)
}

/** Makes untrusted text safe for a log line: printable ASCII, at most 120 characters. */
export function shown(text: string): string {
  const cut = text.length > 120 ? `${text.slice(0, 120)}...` : text
  return cut.replaceAll(/[^\x20-\x7e]/g, '?')
}

function isMap(value: unknown): value is UntrustedObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
