// Converts a refusal into the Problem that its table entry describes.
import { Problem, type ProblemOptions } from '@inferwire/protocol'
import { UpstreamFailure, type FailureSign } from '../upstream-failure.ts'
import { REFUSALS, type RefusalKind, type RefusalName } from './refusals.ts'

/** The call that was refused. */
export interface RefusedCall {
  /** For the operator's log: the call, and the answer. */
  readonly detail: string
  /** The time that the gateway asks the client to wait. @default none */
  readonly retryAfterMs?: number | undefined
  /** The error of a call without an answer. */
  readonly cause?: Error
}

// The time that a client should wait if the operator, a clock or a controller has to act first.
const LATER_MS = 10_000
// The time that a client should wait if a full server sends no Retry-After.
const FULL_RETRY_AFTER_MS = 1_000
const ONCE_AFTER_MS = 1_000

/** Returns the Problem: an `UpstreamFailure` if the connector may repeat the call. */
export function refusalProblem(name: RefusalName, { detail, retryAfterMs, cause }: RefusedCall): Problem {
  const kind: RefusalKind = REFUSALS[name]
  const { code, status, sentence, remedy, mayHaveRun, retry } = kind
  const waitMs = retryAfterMs ?? ownWaitMs(kind)
  const options: ProblemOptions = {
    detail,
    refusal: { name, remedy },
    ...(status === undefined ? {} : { status }),
    ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
    ...(cause === undefined ? {} : { cause }),
  }
  const sign = signOf(kind, retryAfterMs !== undefined)
  if (sign === undefined) return new Problem(code, sentence, options)
  return new UpstreamFailure(sign, mayHaveRun, code, sentence, {
    ...options,
    ...(retry === 'once' ? { retryOnceAfterMs: ONCE_AFTER_MS } : {}),
    ...(retry === 'back-off' && retryAfterMs === undefined ? { backsOff: true } : {}),
  })
}

/** Whether the problem is a refusal of a call that certainly did not reach the model. */
export function isRefusedBeforeRun(problem: Problem | undefined): boolean {
  const name = problem?.refusal?.name
  return name !== undefined && Object.hasOwn(REFUSALS, name) && !REFUSALS[name as RefusalName].mayHaveRun
}

function ownWaitMs({ code, retry }: RefusalKind): number | undefined {
  if (retry === 'later') return LATER_MS
  return code === 'overloaded' ? FULL_RETRY_AFTER_MS : undefined
}

// The sign determines whether the call is repeated, and whether it counts for the circuit.
function signOf(
  { code, retry, countsForCircuit }: RefusalKind,
  hasRetryAfter: boolean,
): FailureSign | undefined {
  switch (retry) {
    case 'never':
      // Without an answer, it is open what the server supports.
      return code === 'upstream_unreachable' ? 'rejected' : undefined
    case 'new-token':
    case 'later':
      return undefined
    case 'once':
      return 'refused'
    case 'retry-after':
      return hasRetryAfter ? 'busy' : 'rejected'
    case 'back-off':
      if (countsForCircuit === 'yes') return 'unreachable'
      if (countsForCircuit === 'warm') return 'no-answer'
      if (code === 'overloaded') return 'busy'
      return code === 'model_not_ready' ? 'starting' : 'refused'
  }
}
