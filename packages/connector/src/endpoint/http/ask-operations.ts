// Queries a server for the optional operations of its dialects, without calling the model.
import {
  offeredOperations,
  operationRoute,
  optionalOperations,
  type Dialect,
  type OperationName,
} from '@inferwire/protocol'
import { askForAnswer } from './ask.ts'
import type { AskedModel } from './ask-facts.ts'
import type { HttpTarget } from './http-endpoint.ts'

// RFC 9110 §15.5.6: the path exists, but does not support the method GET.
const METHOD_NOT_ALLOWED = 405
const NOT_IMPLEMENTED = 501
// Statuses that may be temporary: no permission (yet), timeout, too early, too many requests.
const PASSING: ReadonlySet<number> = new Set([401, 403, 408, 425, 429])

/** The optional operations of a server. */
export interface OptionalOperations {
  readonly offered: readonly OperationName[]
  /** The dialects for which a query failed, so that a later query may find more operations. */
  readonly unanswered: readonly Dialect[]
}

/**
 * Finds the optional operations whose path exists: a GET request on it is answered 405. A status that may be
 * temporary, such as 503, proves nothing. Never throws.
 */
export async function askOptionalOperations(
  target: HttpTarget,
  model: AskedModel,
  dialects: readonly Dialect[],
  signal: AbortSignal,
): Promise<OptionalOperations> {
  const answers = await Promise.all(
    dialects.map(async (dialect) => ({ dialect, states: await askDialect(target, model, dialect, signal) })),
  )
  return {
    offered: answers.flatMap(({ dialect, states }) => offeredOf(dialect, states)),
    unanswered: answers.flatMap(({ dialect, states }) =>
      states.some(({ state }) => state === 'unknown') ? [dialect] : [],
    ),
  }
}

interface OperationState {
  readonly name: OperationName
  readonly state: 'present' | 'absent' | 'unknown'
}

function askDialect(
  target: HttpTarget,
  model: AskedModel,
  dialect: Dialect,
  signal: AbortSignal,
): Promise<OperationState[]> {
  const prefix = model.prefixes.get(dialect) ?? ''
  const states = optionalOperations(dialect).map(async (name): Promise<OperationState> => {
    const { path } = operationRoute(name, dialect, model.name)!
    try {
      const { status } = await askForAnswer(target, { method: 'GET', path: prefix + path }, signal)
      return { name, state: stateOf(status) }
    } catch {
      return { name, state: 'unknown' }
    }
  })
  return Promise.all(states)
}

// An operation that excludes another operation is offered only if that other operation does not exist.
function offeredOf(dialect: Dialect, states: readonly OperationState[]): OperationName[] {
  const possible = states.flatMap(({ name, state }) => (state === 'absent' ? [] : [name]))
  const present = new Set(states.flatMap(({ name, state }) => (state === 'present' ? [name] : [])))
  return offeredOperations(dialect, possible).filter((name) => present.has(name))
}

function stateOf(status: number): OperationState['state'] {
  if (status === METHOD_NOT_ALLOWED) return 'present'
  return PASSING.has(status) || (status >= 500 && status !== NOT_IMPLEMENTED) ? 'unknown' : 'absent'
}
