// The exit codes of `inferwire`, and the mapping from errors to exit codes.

/** The exit codes are from sysexits.h if it defines a suitable code, otherwise from shells and GNU `timeout`. */
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

/** The meaning of each exit code, for the help. */
export const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'success',
  modelError: 'the model or its server returned an error; doctor found a fault',
  usage: 'unknown or invalid command, option or argument',
  badInput: 'the request body, the topic or the password file is not valid',
  missingFile:
    'a file is missing, or cannot be read or written; or the broker does not have the requested result',
  unavailable: 'the broker cannot be reached, no connector is subscribed, or a port is in use',
  internal: 'internal error in Inferwire',
  output: 'cannot write to standard output',
  temporary: 'temporary failure; try again later',
  notAuthorized: 'refused by the broker or by the policy, or wrong password',
  config: 'the configuration is not valid',
  deadline: 'no reply before the deadline',
  interrupted: 'stopped by Ctrl-C',
  terminated: 'stopped by SIGTERM before all requests were finished',
}

// Exceptions to the rule at the end of `exitCodeOf`.
const BY_ERROR_CODE: Readonly<Record<string, number>> = {
  no_connector: EXIT.unavailable,
  broker_unreachable: EXIT.unavailable,
  broker_refused: EXIT.unavailable,
  certificate_refused: EXIT.unavailable,
  not_authorized: EXIT.notAuthorized,
  forbidden_model: EXIT.notAuthorized,
  response_topic_forbidden: EXIT.notAuthorized,
  result_not_found: EXIT.missingFile,
  deadline_exceeded: EXIT.deadline,
  bad_topic: EXIT.badInput,
  bad_payload: EXIT.badInput,
  unsupported_content_type: EXIT.badInput,
  payload_too_large: EXIT.badInput,
  upstream_error: EXIT.modelError,
  // This is not the exit code for "try again later": a script must first check whether the request took effect.
  maybe_executed: EXIT.modelError,
  cancelled: EXIT.interrupted,
  internal: EXIT.internal,
}

/** Returns the exit code for a request's error, by its problem code. */
export function exitCodeOf(code: string, isRetryable: boolean): number {
  if (Object.hasOwn(BY_ERROR_CODE, code)) return BY_ERROR_CODE[code]!
  return isRetryable ? EXIT.temporary : EXIT.modelError
}
