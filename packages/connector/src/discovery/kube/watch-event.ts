// Parses one line of a watch.
import { invalidResponse, type KubeError, statusError } from './kube-error.ts'
import { asObject, isRecord, type KubeObject } from './kube-object.ts'

/** An event of a watch. */
export type WatchEvent =
  | { readonly type: 'set' | 'deleted'; readonly object: KubeObject; readonly resourceVersion: string }
  /** Contains only the version up to which all events have been sent. */
  | { readonly type: 'bookmark'; readonly resourceVersion: string }
  /** Ends the watch. */
  | { readonly type: 'error'; readonly error: KubeError }

/** Parses a line. @throws KubeError `InvalidResponse` */
export function parseWatchEvent(line: string): WatchEvent {
  const event = parse(line)
  const object = isRecord(event) ? event['object'] : undefined
  if (!isRecord(event) || !isRecord(object)) throw invalidResponse('A line of the watch is not an event')
  switch (event['type']) {
    case 'ADDED':
    case 'MODIFIED':
      return change('set', asObject(object))
    case 'DELETED':
      return change('deleted', asObject(object))
    case 'BOOKMARK':
      return { type: 'bookmark', resourceVersion: versionOf(object) }
    case 'ERROR':
      return { type: 'error', error: errorOf(object) }
    default:
      throw invalidResponse(
        `An event of the watch has the unknown type "${String(event['type']).slice(0, 40)}"`,
      )
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    throw invalidResponse('A line of the watch is not JSON')
  }
}

function change(type: 'set' | 'deleted', object: KubeObject): WatchEvent {
  return { type, object, resourceVersion: object.metadata.resourceVersion }
}

function versionOf(object: Readonly<Record<string, unknown>>): string {
  const { metadata } = object
  const version = isRecord(metadata) ? metadata['resourceVersion'] : undefined
  if (typeof version !== 'string' || version === '')
    throw invalidResponse('A bookmark has no resourceVersion')
  return version
}

function errorOf({ code, reason, message }: Readonly<Record<string, unknown>>): KubeError {
  return statusError('The watch', typeof code === 'number' ? code : 500, {
    reason: typeof reason === 'string' ? reason : undefined,
    message: typeof message === 'string' ? message : undefined,
  })
}
