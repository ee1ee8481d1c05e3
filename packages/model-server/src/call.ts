// Requests and responses of the routes, independent of HTTP.
import { Failure } from './failure.ts'
import type { Model } from './model.ts'

/** A request that matched a route. */
export interface Call {
  /** Groups of the route's pattern. */
  readonly params: Readonly<Record<string, string>>
  /** One header, by lower-case name. */
  header(name: string): string | undefined
  /** The body. @throws Failure 413 when it is larger than the limit. */
  body(): Promise<Uint8Array>
  /** Aborted when the client disconnects. */
  readonly signal: AbortSignal
}

/** A 200: JSON text, or bytes with their headers. */
export type Reply = string | { readonly body: Uint8Array; readonly headers: Readonly<Record<string, string>> }

/** A route: method, pattern of the whole decoded path, and handler. */
export interface Route {
  readonly method: 'GET' | 'POST'
  readonly path: RegExp
  readonly handle: (call: Call) => Reply | Promise<Reply>
}

/** The served models by name. */
export type Models = ReadonlyMap<string, Model>

/** The model named in the path. @throws Failure 404 with KServe's text. */
export function modelOf(models: Models, call: Call): Model {
  const name = call.params['model'] ?? ''
  const model = models.get(name)
  if (model === undefined) throw Failure.error(404, `Model with name ${name} does not exist.`)
  return model
}

/** Media type of a Content-Type header, without its parameters, in lower case. */
export function mediaTypeOf(contentType: string): string {
  return (contentType.split(';', 1)[0] ?? '').trim().toLowerCase()
}
