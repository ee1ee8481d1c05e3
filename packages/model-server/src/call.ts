// Requests and responses of the routes, independent of HTTP.
import { Failure } from './failure.ts'
import type { Model } from './model.ts'

/** A request that matched a route. */
export interface Call {
  /** Named groups of the route's pattern. */
  readonly params: Readonly<Record<string, string>>
  /** Returns a header by its lower-case name. */
  header(name: string): string | undefined
  /** Reads the body. @throws Failure 413 if it is larger than the limit */
  body(): Promise<Uint8Array>
  /** Aborted when the client disconnects. */
  readonly signal: AbortSignal
}

/** The content of a 200 response: JSON text, bytes with their headers, or parts that are sent as they arrive. */
export type Reply = string | BytesReply | StreamReply

/** A response whose length is known. */
export interface BytesReply {
  readonly body: Uint8Array
  readonly headers: Readonly<Record<string, string>>
}

/** A response in parts. `events` is no longer read after the client has disconnected. */
export interface StreamReply {
  readonly events: AsyncIterable<string>
  readonly headers: Readonly<Record<string, string>>
}

/** A route: method, pattern for the whole decoded path, and handler. */
export interface Route {
  readonly method: 'GET' | 'POST'
  readonly path: RegExp
  readonly handle: (call: Call) => Reply | Promise<Reply>
}

/** The served models by name. */
export type Models = ReadonlyMap<string, Model>

/** Returns the model that the path names. @throws Failure 404 with KServe's text */
export function modelOf(models: Models, call: Call): Model {
  const name = call.params['model'] ?? ''
  const model = models.get(name)
  if (model === undefined) throw Failure.error(404, `Model with name ${name} does not exist.`)
  return model
}

/** Returns the media type of a Content-Type header in lower case, without its parameters. */
export function mediaTypeOf(contentType: string): string {
  return (contentType.split(';', 1)[0] ?? '').trim().toLowerCase()
}
