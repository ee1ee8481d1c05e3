// The table of dialects of model servers, each defined in its own file, and lookups in it.
import type { BatchRules } from '../batch/batch-rules.ts'
import { OPERATIONS, type OperationName } from '../operation.ts'
import type { DialectKind, Route, RouteKind } from './dialect-kind.ts'
import { openai } from './openai.ts'
import { v1 } from './v1.ts'
import { v2 } from './v2.ts'

export type { DialectKind, Route, RouteKind, StreamKind } from './dialect-kind.ts'

/** All dialects, in order of preference. A request uses its model's first dialect that has the operation. */
export const DIALECTS = { v2, v1, openai } as const satisfies Record<string, DialectKind>

/** The name of a dialect: an element of a model card's `protocol_versions`. */
export type Dialect = keyof typeof DIALECTS

/** Returns all dialects, in order of preference. */
export function dialectNames(): Dialect[] {
  return Object.keys(DIALECTS) as Dialect[]
}

/** Returns the dialects whose paths can contain a model version. */
export function versionedDialects(): Dialect[] {
  return dialectNames().filter((dialect) =>
    Object.values<Route>(DIALECTS[dialect].routes).some(({ path }) => path.includes('{version}')),
  )
}

/**
 * Returns the operations of a model that supports these dialects, in the order of the operation table. `optional` contains the
 * optional operations that its server has; undefined = it is not known which ones, so all of them are returned.
 */
export function operationsOf(
  dialects: readonly Dialect[],
  optional?: readonly OperationName[],
): OperationName[] {
  const names = Object.keys(OPERATIONS) as OperationName[]
  return names.filter((name) => {
    const dialect = dialectOf(name, dialects)
    if (dialect === undefined) return false
    return optional === undefined || optional.includes(name) || !isOptional(name, dialect)
  })
}

/** The operations that only some servers of a dialect have. */
export function optionalOperations(dialect: Dialect): OperationName[] {
  return operationsOf([dialect]).filter((name) => isOptional(name, dialect))
}

/** Returns the operations that a server offers. `existing` contains the operations whose paths the server has. */
export function offeredOperations(dialect: Dialect, existing: readonly OperationName[]): OperationName[] {
  return existing.filter((name) => {
    const other = routeOf(name, dialect)?.notWith
    return other === undefined || !existing.includes(other)
  })
}

/** Returns the dialect for an operation of a model that supports these dialects; undefined = no dialect has it. */
export function dialectOf(operation: OperationName, dialects: readonly Dialect[]): Dialect | undefined {
  return dialectNames().find(
    (dialect) => dialects.includes(dialect) && routeOf(operation, dialect) !== undefined,
  )
}

/**
 * Returns the operation for a topic that names no operation: the default operation of a dialect for specific models if
 * there is one, otherwise that of the preferred dialect.
 */
export function defaultOperationOf(dialects: readonly Dialect[]): OperationName {
  const names = dialectNames().filter((dialect) => dialects.includes(dialect))
  const preferred = names.find((dialect) => kindOf(dialect).isSpecific) ?? names[0]
  if (preferred === undefined) throw new RangeError('A model supports at least one dialect.')
  return DIALECTS[preferred].defaultOperation
}

/** Returns the dialect of a KServe object of this kind if the object states none. @throws RangeError for another kind */
export function dialectOfKind(kind: string): Dialect {
  const dialect = dialectNames().find((name) => kindOf(name).assumedForKinds?.includes(kind))
  if (dialect === undefined) throw new RangeError(`"${kind}" is not a kind of KServe.`)
  return dialect
}

/**
 * Returns the operation that a parsed JSON body is intended for; undefined = no member of the body identifies a
 * dialect. If its members identify several dialects, the preferred dialect takes precedence.
 */
export function operationOfBody(body: unknown): OperationName | undefined {
  if (typeof body !== 'object' || body === null) return undefined
  const marked = Object.values<DialectKind>(DIALECTS).find(
    ({ bodyMember }) => bodyMember !== undefined && Object.hasOwn(body, bodyMember),
  )
  return marked?.defaultOperation
}

/** Returns how requests of an operation share a call; undefined = each request needs a call of its own. */
export function batchRulesOf(operation: OperationName, dialect: Dialect): BatchRules | undefined {
  const { batching }: DialectKind = DIALECTS[dialect]
  return batching?.operation === operation ? batching : undefined
}

/**
 * Returns the method and path of an operation on a model server; undefined = the dialect does not have the operation.
 * Each name is a single path segment, with minimal percent-encoding. The version is omitted if the dialect's paths do
 * not contain one.
 */
export function operationRoute(
  operation: OperationName,
  dialect: Dialect,
  model: string,
  version?: string,
): Route | undefined {
  const route = routeOf(operation, dialect)
  if (route === undefined) return undefined
  const { method, stream } = route
  const path = filled(route.path, model, version)
  if (stream === undefined) return { method, path }
  const streamPath = stream.path === undefined ? path : filled(stream.path, model, version)
  return { method, path, stream: { when: stream.when, path: streamPath } }
}

function filled(template: string, model: string, version: string | undefined): string {
  return template
    .replace(/\[(.*)\]/, version === undefined ? '' : '$1')
    .replace('{model}', () => toSegment(model))
    .replace('{version}', () => toSegment(version ?? ''))
}

/**
 * Whether text can be a model's name on its server: path segments without percent-encoding, because some servers do not
 * decode it. Allows more characters than topics do, for example `+`. See also `fitsRoutes`.
 */
export function isServerModelName(name: string): boolean {
  return name.length <= 255 && name.split('/').every(isSegment)
}

/**
 * Whether a dialect can call a model with this name: a name with a slash, such as `facebook/opt-125m`, only if the
 * dialect's paths do not contain the model.
 */
export function fitsRoutes(name: string, dialect: Dialect): boolean {
  return (
    isSegment(name) ||
    !Object.values<RouteKind>(DIALECTS[dialect].routes).some(({ path }) => path.includes('{model}'))
  )
}

function isSegment(text: string): boolean {
  // RFC 3986 §3.3: pchar without percent-encoding. A segment of only dots refers to another path (§5.2.4).
  return /^[A-Za-z0-9._~!$&'()*+,;=:@-]+$/.test(text) && !/^\.+$/.test(text)
}

// RFC 3986 §3.3: sub-delims, ":" and "@" need no encoding in a segment. Not every server decodes them: Triton looks up
// the encoded name.
const LITERAL_IN_SEGMENT = /%(?:2[46BC]|3[ABD]|40)/g

function toSegment(name: string): string {
  return encodeURIComponent(name).replace(LITERAL_IN_SEGMENT, decodeURIComponent)
}

/** Describes an operation and its HTTP request in each dialect, in one sentence without a final full stop. */
export function operationMeaning(operation: OperationName): string {
  const routes = dialectNames().flatMap((dialect) => routeOf(operation, dialect) ?? [])
  const asked = routes.map(({ method, path }) => `${method} ${path.replace(/\[.*\]/, '')}`)
  return `${OPERATIONS[operation].meaning}: ${asked.join(', or ')}`
}

function routeOf(operation: OperationName, dialect: Dialect): RouteKind | undefined {
  return kindOf(dialect).routes[operation]
}

function isOptional(operation: OperationName, dialect: Dialect): boolean {
  return routeOf(operation, dialect)?.isOptional === true
}

function kindOf(dialect: Dialect): DialectKind {
  return DIALECTS[dialect]
}
