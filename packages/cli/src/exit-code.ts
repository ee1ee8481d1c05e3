// How `inferwire` ends: one table of exit codes, and which error leads to which.

/** The exit codes: sysexits where one fits, else what shells and GNU `timeout` use. */
export const EXIT = {
  ok: 0,
  modelError: 1,
  usage: 64,
  badInput: 65,
  missingFile: 66,
  unavailable: 69,
  internal: 70,
  output: 74,
  temporary: 75,
  notAuthorized: 77,
  config: 78,
  deadline: 124,
  interrupted: 130,
  terminated: 143,
} as const

/** What each exit code tells a script. */
export const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'answered',
  modelError: 'the model or its server answered with an error',
  usage: 'unknown command or option, or one that does not fit',
  badInput: 'the request body, the topic or the password file is not valid',
  missingFile: 'a file is missing, or cannot be read or written',
  unavailable: 'the broker cannot be reached, no connector listens, or a port is taken',
  internal: 'a fault in Inferwire itself',
  output: 'standard output cannot be written',
  temporary: 'failed for now: trying again later makes sense',
  notAuthorized: 'the broker or the policy refused it, or the password is wrong',
  config: 'the configuration is not valid',
  deadline: 'the deadline passed',
  interrupted: 'ended by Ctrl-C',
  terminated: 'ended by SIGTERM before everything was finished',
}

// Only what differs from the rule at the end of `exitCodeOf`.
const BY_ERROR_CODE: Readonly<Record<string, number>> = {
  no_connector: EXIT.unavailable,
  broker_unreachable: EXIT.unavailable,
  broker_refused: EXIT.unavailable,
  certificate_refused: EXIT.unavailable,
  not_authorized: EXIT.notAuthorized,
  forbidden_model: EXIT.notAuthorized,
  response_topic_forbidden: EXIT.notAuthorized,
  deadline_exceeded: EXIT.deadline,
  bad_topic: EXIT.badInput,
  bad_payload: EXIT.badInput,
  unsupported_content_type: EXIT.badInput,
  payload_too_large: EXIT.badInput,
  upstream_error: EXIT.modelError,
  // Retryable in principle, but a script must look at the effect first.
  maybe_executed: EXIT.modelError,
  cancelled: EXIT.interrupted,
  internal: EXIT.internal,
}

/** The exit code for an error of a request, by its code in the wire contract. */
export function exitCodeOf(code: string, isRetryable: boolean): number {
  if (Object.hasOwn(BY_ERROR_CODE, code)) return BY_ERROR_CODE[code]!
  return isRetryable ? EXIT.temporary : EXIT.modelError
}
