// Queries a server's list of models, in a dialect whose paths do not contain the model, and finds its path prefix.
import { DIALECTS, operationRoute, Problem, type Dialect, type DialectKind } from '@inferwire/protocol'
import { UpstreamFailure } from '../upstream-failure.ts'
import { ask, isObject, type Metadata } from './ask.ts'
import type { HttpTarget } from './http-endpoint.ts'

/** A server's list of models. */
export interface ModelList {
  /** The path prefix under which the server offers the dialect. */
  readonly prefix: string
  /** The entry of the model; undefined if the list does not contain the model. */
  readonly entry: Metadata | undefined
}

/** Returns whether a model's metadata in this dialect is an entry in the server's list of models. */
export function hasModelList(dialect: Dialect): boolean {
  const { modelMember }: DialectKind = DIALECTS[dialect]
  return modelMember !== undefined
}

/**
 * Queries the list under each prefix of the dialect. Returns the first list that contains the model, or else the first
 * list; undefined if the server has no list, or only lists in another dialect's format.
 * @throws Problem if no list was found and a query failed: an `UpstreamFailure` if a later query may succeed
 */
export async function askModelList(
  target: HttpTarget,
  dialect: Dialect,
  model: string,
  signal: AbortSignal,
): Promise<ModelList | undefined> {
  const { prefixes = [''] }: DialectKind = DIALECTS[dialect]
  const { method, path } = operationRoute('metadata', dialect, model)!
  let first: ModelList | undefined
  let failure: Problem | undefined
  for (const prefix of prefixes) {
    try {
      const entries = entriesOf(await ask(target, { method, path: prefix + path }, signal))
      if (entries === undefined) continue
      const entry = entries.find(({ id }) => id === model)
      if (entry !== undefined) return { prefix, entry }
      first ??= { prefix, entry }
    } catch (error) {
      // A temporary failure takes precedence over a refusal: servers may also refuse a prefix that does not exist.
      if (!(failure instanceof UpstreamFailure)) failure = Problem.from(error)
    }
  }
  if (first === undefined && failure !== undefined) throw failure
  return first
}

// `{"object":"list","data":[{"id":"…"}]}`. KServe's V1 list has the same path in the form `{"models":["…"]}`.
function entriesOf(metadata: Metadata | undefined): Metadata[] | undefined {
  const data = metadata?.['data']
  return Array.isArray(data) ? data.filter(isObject) : undefined
}
