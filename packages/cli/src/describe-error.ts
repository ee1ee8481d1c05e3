// Whatever is thrown, in words for the user and with the exit code that fits.
import { PROBLEMS, tlsFailure, type TlsFailureKind } from '@inferwire/protocol'
import { CliError } from './cli-error.ts'
import { EXIT, exitCodeOf } from './exit-code.ts'
import { printable } from './table.ts'

/** What to write to standard error, line break included, and how to end. */
export interface DescribedError {
  readonly text: string
  readonly exitCode: number
}

/** Describes anything thrown. */
export function describeError(error: unknown): DescribedError {
  if (error instanceof CliError) return described(error.message, error.remedy, error.exitCode)
  if (!(error instanceof Error)) return fault(String(error))
  // By name and shape: importing the packages for `instanceof` would make every command load them.
  if (error.name === 'ConfigError') return { text: `${error.message.trimEnd()}\n`, exitCode: EXIT.config }
  if (isRequestError(error)) return describeRequestError(error)
  const code = (error as NodeJS.ErrnoException).code
  const isListen = (error as NodeJS.ErrnoException).syscall === 'listen'
  if (isListen && (code === 'EADDRINUSE' || code === 'EADDRNOTAVAIL' || code === 'EACCES'))
    return describeListenError(error, code)
  return fault(error.stack ?? error.message)
}

interface RequestError extends Error {
  readonly code: string
  readonly status?: number | undefined
  readonly retryable?: boolean
}

function isRequestError(error: Error): error is RequestError {
  return error.name === 'InferwireError' && typeof (error as { code?: unknown }).code === 'string'
}

// What the client's own codes ask of the user; the others are in the protocol's table.
const REMEDIES: Readonly<Record<string, string>> = {
  no_connector: 'Start one with: inferwire connect --model NAME=URL (same broker, same --root)',
  broker_unreachable: 'Check -h and -p (or --broker), and that the broker runs; inferwire dev starts one.',
  certificate_refused:
    'Give the authority that signed it: --cafile FILE (PEM; a self-signed certificate is its own authority).',
  broker_refused: "Look at the broker's log; it says which rule refused.",
  not_authorized: 'Check -u and the password, and that the ACL lets this user write {root}/request/{user}/#.',
  deadline_exceeded: 'If the model is only slow, give it more time with -t SECONDS.',
  model_not_found: 'List the models with: inferwire models ls',
  operation_not_supported: 'See what it offers with: inferwire models describe MODEL',
}

const TLS_REMEDIES: Partial<Record<TlsFailureKind, string>> = {
  'wrong-name':
    'Use a name that is in the certificate, with -h or --broker. (--cafile says which authorities to trust, not names.)',
  'out-of-date':
    "Renew the broker's certificate, or correct the clock of this machine or of the one that made it.",
  'client-certificate': 'The command line has no client certificate; connect to a port that asks for none.',
  'not-tls': 'Check -p; a port without TLS needs mqtt:// or ws:// (8883 speaks TLS).',
}

// CONNACK: the broker does not speak this version (MQTT 3.1.1 §3.2.2.3, MQTT 5 §3.2.2.2).
const VERSION_REMEDIES: Readonly<Record<string, string>> = {
  1: 'Choose the version that it speaks with -V 5.',
  [0x84]: 'Choose a version that the broker supports: -V 3.1.1.',
}

function remedyByCause({ code: kind, cause }: RequestError): string | undefined {
  if (kind !== 'broker_unreachable' && kind !== 'certificate_refused') return undefined
  if (typeof cause !== 'object' || cause === null) return undefined
  const failure = tlsFailure(cause)
  if (failure !== undefined) return TLS_REMEDIES[failure.kind]
  const code = 'code' in cause ? String(cause.code) : ''
  return Object.hasOwn(VERSION_REMEDIES, code) ? VERSION_REMEDIES[code] : undefined
}

function describeRequestError(error: RequestError): DescribedError {
  const remedy =
    remedyByCause(error) ??
    REMEDIES[error.code] ??
    (Object.hasOwn(PROBLEMS, error.code) ? PROBLEMS[error.code as keyof typeof PROBLEMS].remedy : undefined)
  const label = error.status === undefined ? error.code : `${error.status} ${error.code}`
  return described(`${error.message} (${label})`, remedy, exitCodeOf(error.code, error.retryable ?? false))
}

function describeListenError(error: Error, code: string): DescribedError {
  const { address, port } = error as { address?: string; port?: number }
  const place = `${address ?? ''}:${port ?? ''}`
  const reason = {
    EADDRINUSE: 'another process has it',
    EADDRNOTAVAIL: 'this machine has no such address',
    EACCES: 'this user may not',
  }[code]
  return described(
    `cannot listen on ${place}: ${reason}`,
    'Choose another port (--admin-port N; 0 = any free port), or end what holds it.',
    EXIT.unavailable,
  )
}

function described(message: string, remedy: string | undefined, exitCode: number): DescribedError {
  const lines = [message, ...(remedy === undefined ? [] : [remedy])].flatMap((text) =>
    text.trimEnd().split('\n'),
  )
  return { text: `error: ${lines.map(printable).join('\n       ')}\n`, exitCode }
}

function fault(detail: string): DescribedError {
  return {
    text: `error: a fault in Inferwire itself; please report it with these lines:\n${detail}\n`,
    exitCode: EXIT.internal,
  }
}
