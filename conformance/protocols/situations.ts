// The situations in which a request can end. Each has one result for the client, whatever the dialect, transport and
// server.
import { PROBLEMS, type ProblemCode } from '@inferwire/protocol'

interface SituationKind {
  /** A sentence for the table, without its full stop. */
  readonly meaning: string
  /** undefined = success, with status 200 and no code */
  readonly code?: ProblemCode
  /** @default according to the problem table */
  readonly retryable?: boolean
}

const situation = (meaning: string, code?: ProblemCode): SituationKind => ({
  meaning,
  ...(code === undefined ? {} : { code }),
})

/** All situations, in the order of the table. */
export const SITUATIONS = {
  answered: situation('The model answers'),
  rejected: situation('The server answers with an error of its own', 'upstream_error'),
  notReady: situation('The server does not serve the model (yet)', 'model_not_ready'),
  full: situation("The server's queue is full", 'overloaded'),
  late: situation('The answer is not complete before the deadline', 'deadline_exceeded'),
  cancelled: situation('The client cancels the request', 'cancelled'),
  unreachable: situation(
    'There is no connection, or it breaks before the answer is complete',
    'upstream_unreachable',
  ),
  notAnAnswer: situation(
    'The answer is not from a model server, or is malformed',
    'upstream_invalid_response',
  ),
  noRoute: {
    meaning: 'The gateway has no route to the model (yet)',
    code: 'upstream_invalid_response',
    retryable: true,
  },
  interrupted: situation('A stream breaks after its first part', 'stream_interrupted'),
  tooLarge: situation('The answer is larger than the limit', 'response_too_large'),
  login: situation('A gateway or a service mesh rejects the connector', 'unauthorized_upstream'),
  noOperation: situation('The model does not have the operation', 'operation_not_supported'),
  otherModel: situation('The body names a different model than the topic', 'forbidden_model'),
  noModel: situation('No model with the name in the topic is exposed', 'model_not_found'),
  badBody: situation(
    'The body is empty or not a JSON object, or the length of its JSON part is wrong',
    'bad_payload',
  ),
  badType: situation('The Content Type is not supported', 'unsupported_content_type'),
  requestTooLarge: situation('The request is larger than the limit', 'payload_too_large'),
} as const satisfies Record<string, SituationKind>

/** The name of a situation. */
export type SituationName = keyof typeof SITUATIONS

/** Returns the code, status and retry advice of a situation. The status of `rejected` is the server's own. */
export function resultOf(name: SituationName): {
  readonly code: ProblemCode | undefined
  readonly status: number | undefined
  readonly retryable: boolean
} {
  const kind: SituationKind = SITUATIONS[name]
  const { code } = kind
  if (code === undefined) return { code, status: 200, retryable: false }
  const { status, retryable: isUsuallyRetryable } = PROBLEMS[code]
  const retryable = kind.retryable ?? isUsuallyRetryable
  return { code, status: code === 'upstream_error' ? undefined : status, retryable }
}
