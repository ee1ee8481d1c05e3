// Turns a thrown error into a message for the user and an exit code.
import { PROBLEMS, tlsFailure, type TlsFailureKind } from '@inferwire/protocol'
import { CliError } from './cli-error.ts'
import { EXIT, exitCodeOf } from './exit-code.ts'
import { printable } from './table.ts'

/** A message with its exit code. */
export interface DescribedError {
  /** The text for standard error; ends with a line break. */
  readonly text: string
  readonly exitCode: number
}

/** Describes an error; the thrown value may be anything. */
export function describeError(error: unknown): DescribedError {
  if (error instanceof CliError) return described(error.message, error.remedy, error.exitCode)
  if (!(error instanceof Error)) return fault(String(error))
  // Errors are recognized by name and shape: importing their classes for `instanceof` would make every command load
  // whole packages.
  if (error.name === 'Interrupted') return { text: '', exitCode: EXIT.interrupted }
  if (error.name === 'ConfigError') return { text: `${error.message.trimEnd()}\n`, exitCode: EXIT.config }
  if (error.name === 'StateInUse') {
    return described(error.message, 'Give this connector a different name with --name NAME.', EXIT.config)
  }
  if (isRequestError(error)) return describeRequestError(error)
  const code = (error as NodeJS.ErrnoException).code
  const isListen = (error as NodeJS.ErrnoException).syscall === 'listen'
  if (isListen && (code === 'EADDRINUSE' || code === 'EADDRNOTAVAIL' || code === 'EACCES'))
    return describeListenError(error, code)
  return fault(error.stack ?? error.message)
}

interface RequestError extends Error {
  readonly code: string
  readonly model?: string | undefined
  readonly status?: number | undefined
  readonly retryable?: boolean
}

function isRequestError(error: Error): error is RequestError {
  return error.name === 'InferwireError' && typeof (error as { code?: unknown }).code === 'string'
}

// Remedies that refer to the command line; the remedies for all other codes are in the protocol's table.
const REMEDIES: Readonly<Record<string, string>> = {
  no_connector: 'Start a connector with: inferwire connect --model NAME=URL (same broker, same --root)',
  broker_unreachable:
    'Check -h and -p (or --broker), and that the broker is running. To start a broker: inferwire dev',
  certificate_refused:
    "Use --cafile FILE with the certificate of the broker's certificate authority (PEM; a self-signed certificate is its own authority).",
  broker_refused: "The broker's log contains the reason.",
  not_authorized:
    'Check -u and the password, and that the ACL grants this user write access to {root}/request/{user}/#.',
  result_not_found: 'Use the same broker and user as for the request. A result can be fetched only once.',
  deadline_exceeded:
    'If the model is slow, allow more time with -t SECONDS. To see whether its connector is offline: inferwire models ls',
  model_not_found:
    "List the models with: inferwire models ls. If the model is listed, the connector's policy may not allow your user.",
  upstream_error: 'Compare the body with: inferwire models describe MODEL',
  model_not_ready: "Try again later. If the model stays unavailable, check the model server's log.",
  operation_not_supported: "List the model's operations with: inferwire models describe MODEL",
}

// Matches the part of an SDK message that names an option of connect(). It is removed, because the command line adds
// its own remedy.
const SDK_REMEDY =
  /; set (?:the ca option to|mqttVersion to) [^;]*?(?=\.(?: |$))|; call result\(\) again later| \(keepSeconds\)/

// Replaces the SDK's message, which recommends an option of connect() that the command line does not have.
const INTERRUPTED = 'The connection was lost during the stream; the answer above is incomplete.'

function messageOf({ code, message }: RequestError): string {
  const isLost = code === 'stream_interrupted' && message.includes('sessionExpirySeconds')
  return isLost ? INTERRUPTED : message.replace(SDK_REMEDY, '')
}

const TLS_REMEDIES: Partial<Record<TlsFailureKind, string>> = {
  'wrong-name':
    'Use a name from the certificate with -h or --broker. (--cafile sets the trusted authorities, not the name.)',
  'out-of-date':
    "Renew the broker's certificate, or correct the clock of this machine or of the certificate's issuer.",
  'client-certificate':
    'The command line does not support client certificates; connect to a port that does not require one.',
  'not-tls': 'Check -p: use mqtt:// or ws:// for a port without TLS. -p 8883 enables TLS.',
}

// Remedies for CONNACK codes that mean an unsupported version (MQTT 3.1.1 §3.2.2.3, MQTT 5 §3.2.2.2).
const VERSION_REMEDIES: Readonly<Record<string, string>> = {
  1: 'Use MQTT 5: -V 5',
  [0x84]: 'Use MQTT 3.1.1: -V 3.1.1',
}

function remedyByCause({ code: kind, cause, message }: RequestError): string | undefined {
  if (kind === 'model_not_ready' && message.includes('is offline')) {
    return 'Start the connector, or look at its log.'
  }
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
  return described(
    `${messageOf(error)} (${label})`,
    remedy?.replace(/\bMODEL\b/, error.model ?? 'MODEL'),
    exitCodeOf(error.code, error.retryable ?? false),
  )
}

function describeListenError(error: Error, code: string): DescribedError {
  const { address, port } = error as { address?: string; port?: number }
  const place = `${address ?? ''}:${port ?? ''}`
  const reason = {
    EADDRINUSE: 'another process is using the port',
    EADDRNOTAVAIL: 'this machine has no such address',
    EACCES: 'permission denied',
  }[code]
  return described(
    `cannot listen on ${place}: ${reason}`,
    'Use another port with --admin-port PORT (0 = any free port), or stop the other process.',
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
    text: `error: internal error in Inferwire; please report it with these lines:\n${detail}\n`,
    exitCode: EXIT.internal,
  }
}
