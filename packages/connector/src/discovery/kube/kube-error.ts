// The error of every access to the Kubernetes API, with a reason, a message and a remedy for the operator.
import { tlsFailure, type TlsFailureKind } from '@inferwire/protocol'

/** Reasons that are not Kubernetes' own: there is no usable answer from the API server. */
export type LocalReason =
  /** The kubeconfig or the ServiceAccount's files cannot be used. */
  | 'InvalidConfig'
  /** There is no usable token or certificate. */
  | 'NoCredential'
  /** There is no connection, or it broke. */
  | 'Unreachable'
  /** The answer did not arrive in time. */
  | 'Timeout'
  /** The answer, or an object in it, exceeds a limit. */
  | 'TooLarge'
  /** The answer is not what the Kubernetes API specifies. */
  | 'InvalidResponse'
  /** The caller has ended the request. */
  | 'Aborted'

/** The parts of a `KubeError` in addition to its message. */
export interface KubeErrorOptions {
  /** HTTP status of the answer; undefined if there was none. */
  readonly status?: number | undefined
  readonly reason: string
  readonly remedy: string
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

/** A failed access to the Kubernetes API. No part of it contains a token. */
export class KubeError extends Error {
  override readonly name = 'KubeError'
  /** HTTP status of the answer; undefined if there was none. */
  readonly status: number | undefined
  /** Kubernetes' own reason, such as `Forbidden`, `NotFound` or `Expired`, or one of `LocalReason`. */
  readonly reason: string
  /** What the operator can do; a complete sentence. */
  readonly remedy: string
  /** How long the API server asks the client to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined

  constructor(message: string, { status, reason, remedy, retryAfterMs, cause }: KubeErrorOptions) {
    super(printable(message), cause === undefined ? undefined : { cause })
    this.status = status
    this.reason = printable(reason)
    this.remedy = printable(remedy)
    this.retryAfterMs = retryAfterMs
  }
}

/** Creates an error about a file of the configuration. */
export function configError(message: string, remedy: string, cause?: unknown): KubeError {
  return new KubeError(message, { reason: 'InvalidConfig' satisfies LocalReason, remedy, cause })
}

/** Creates an error about a missing token or certificate. */
export function credentialError(message: string, remedy: string, cause?: unknown): KubeError {
  return new KubeError(message, { reason: 'NoCredential' satisfies LocalReason, remedy, cause })
}

/** Creates an error about an answer that is too large. */
export function tooLarge(message: string, remedy: string): KubeError {
  return new KubeError(message, { reason: 'TooLarge' satisfies LocalReason, remedy })
}

/** Creates an error about an answer that the Kubernetes API does not specify. */
export function invalidResponse(message: string, status?: number): KubeError {
  return new KubeError(message, {
    status,
    reason: 'InvalidResponse' satisfies LocalReason,
    remedy: 'Check that the server address is a Kubernetes API server, and which proxy is in front of it.',
  })
}

// Kubernetes' reason for a status, if the answer contains none.
const REASONS: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  410: 'Gone',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
}

const REMEDIES: Readonly<Record<number, string>> = {
  401: 'Check that the token is valid for this cluster and has not expired, and that its ServiceAccount or user still exists.',
  403: 'Grant the verb and the resource in the message with a Role or ClusterRole, and bind it to this ServiceAccount or user.',
  404: 'Check that the resource is installed: kubectl api-resources.',
  410: 'The list is read again.',
  429: 'The API server is busy; the request is repeated later.',
}

/** Creates the error for an answer with an error status. `message` comes from the API server. */
export function statusError(
  what: string,
  status: number,
  details: { readonly reason?: string | undefined; readonly message?: string | undefined },
  retryAfterMs?: number,
): KubeError {
  const isRedirect = status >= 300 && status < 400
  const message = details.message === undefined || details.message === '' ? '' : `: ${details.message}`
  return new KubeError(`${what} was answered with ${status}${message}`, {
    status,
    reason: details.reason ?? REASONS[status] ?? (isRedirect ? 'InvalidResponse' : 'Unknown'),
    remedy: isRedirect
      ? 'Redirects are not followed. Set the address of the API server itself.'
      : (REMEDIES[status] ??
        (status >= 500
          ? "Check the API server's health: kubectl get --raw /readyz?verbose."
          : 'Check the request.')),
    retryAfterMs,
  })
}

const TLS_REMEDIES: Readonly<Record<TlsFailureKind, string>> = {
  untrusted: 'Check certificate-authority in the kubeconfig, or ca.crt of the ServiceAccount.',
  'wrong-name':
    'Use a host name from the certificate, or set tls-server-name in the kubeconfig to such a name.',
  'out-of-date': 'Renew the certificate, and check the clocks of both machines.',
  'client-certificate': "Check the client certificate of the kubeconfig's user.",
  'not-tls': 'Check the port of the server address.',
  'old-tls': 'Enable TLS 1.2 or 1.3 there.',
  handshake: "Check the API server's log.",
}

/** Creates the error for a connection that failed or broke. */
export function unreachable(what: string, error: Error): KubeError {
  const failure = tlsFailure(error)
  if (failure !== undefined) {
    return new KubeError(`${what} failed: the API server ${failure.what} (${failure.reason})`, {
      reason: 'Unreachable' satisfies LocalReason,
      remedy: TLS_REMEDIES[failure.kind],
      cause: error,
    })
  }
  const { code } = error as NodeJS.ErrnoException
  const name = code ?? error.name
  if (isTimeout(name)) return timedOut(what, error)
  if (name.startsWith('HPE_')) return invalidResponse(`${what} was not answered in HTTP (${name})`)
  return new KubeError(`${what} failed: ${name} ${error.message}`, {
    reason: 'Unreachable' satisfies LocalReason,
    remedy: remedyFor(name),
    cause: error,
  })
}

/** Creates the error for an answer that did not arrive in time. */
export function timedOut(what: string, cause?: unknown): KubeError {
  return new KubeError(`${what} was not answered in time`, {
    reason: 'Timeout' satisfies LocalReason,
    remedy:
      'Check the network between this machine and the API server, such as NetworkPolicies and firewalls.',
    cause,
  })
}

/** Creates the error for a request that the caller has ended. */
export function aborted(what: string): KubeError {
  return new KubeError(`${what} was ended by the caller`, {
    reason: 'Aborted' satisfies LocalReason,
    remedy: 'Nothing is to be done.',
  })
}

/** Returns whether the caller has ended the request. */
export function isAborted(error: unknown): boolean {
  return error instanceof KubeError && error.reason === 'Aborted'
}

function isTimeout(code: string): boolean {
  return /^UND_ERR_(CONNECT|HEADERS|BODY)_TIMEOUT$|^ETIMEDOUT$|^TimeoutError$/.test(code)
}

function remedyFor(code: string): string {
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return 'Check the host name of the server address, and the DNS of this machine.'
  }
  if (code === 'ECONNREFUSED') return 'Check the server address, and that the API server is running.'
  return 'Check that the API server is running, and the network between it and this machine.'
}

const TEXT_LENGTH_MAX = 1_000

// Texts of a server may contain control characters and may be long.
function printable(text: string): string {
  const shortened = text.length > TEXT_LENGTH_MAX ? `${text.slice(0, TEXT_LENGTH_MAX)}…` : text
  return shortened.replaceAll(
    /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    '\ufffd',
  )
}
