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

/** The optional operations of a server. */
export interface OptionalOperations {
  readonly offered: readonly OperationName[]
  /** The dialects for which a query failed, so that a later query may find more operations. */
  readonly unanswered: readonly Dialect[]
}

/** Finds the optional operations whose path exists: a GET request for it is answered with 405. Never throws. */
export async function askOptionalOperations(
  target: HttpTarget,
  model: AskedModel,
  dialects: readonly Dialect[],
  signal: AbortSignal,
): Promise<OptionalOperations> {
  const answers = await Promise.all(
    dialects.map(async (dialect) => ({
      dialect,
      existing: await askDialect(target, model, dialect, signal),
    })),
  )
  return {
    offered: answers.flatMap(({ dialect, existing }) => offeredOperations(dialect, existing ?? [])),
    unanswered: answers.flatMap(({ dialect, existing }) => (existing === undefined ? [dialect] : [])),
  }
}

// Returns undefined if a query failed.
async function askDialect(
  target: HttpTarget,
  model: AskedModel,
  dialect: Dialect,
  signal: AbortSignal,
): Promise<OperationName[] | undefined> {
  const prefix = model.prefixes.get(dialect) ?? ''
  const answers = optionalOperations(dialect).map(async (name) => {
    const { path } = operationRoute(name, dialect, model.name)!
    const answer = await askForAnswer(target, { method: 'GET', path: prefix + path }, signal)
    return answer.status === METHOD_NOT_ALLOWED ? [name] : []
  })
  return Promise.all(answers).then(
    (names) => names.flat(),
    () => undefined,
  )
}
