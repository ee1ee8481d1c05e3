// Converts connection and protocol errors into a Problem: a safe sentence for the requester, details for the log.
import { Problem, tlsFailure, type TlsFailureKind } from '@inferwire/protocol'
import { explainTls } from '../../config/index.ts'
import { refusalProblem } from '../refusal/refusal-problem.ts'
import { UpstreamFailure } from '../upstream-failure.ts'

// Codes of errors in the format of the response, not in the connection.
const BROKEN_ANSWERS = new Set([
  'UND_ERR_HEADERS_OVERFLOW',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  'UND_ERR_RES_EXCEEDED_MAX_SIZE',
  'INTERIM_ANSWER',
])

// Codes of errors that occur because the connector itself closed the pool. They imply nothing about the server.
const OUR_OWN_END = new Set(['UND_ERR_DESTROYED', 'UND_ERR_CLOSED'])

// Part of the parser's message for a response that does not begin with "HTTP/"; its error code does not show this.
const NO_START_LINE = 'Expected HTTP/'

/** Message for the requester. */
export const NOT_HTTP = "The model server's response is not valid HTTP."

/** The progress of a call: not yet assigned to a connection, assigned to a connection, or receiving its response. */
export type Progress = 'unsent' | 'sent' | 'answering'

// Codes of a connection that the server closed.
const CLOSED = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'ERR_HTTP2_STREAM_CANCEL'])
const CONNECT_TIMEOUTS = new Set(['UND_ERR_CONNECT_TIMEOUT', 'ETIMEDOUT'])

/**
 * Converts an error. A request that undici refuses to send is the connector's fault (`internal`).
 * @param hasAnswered whether the server has ever answered; if not, it may require mTLS
 */
export function unreachable(error: Error, address: string, progress: Progress, hasAnswered = true): Problem {
  const code = (error as NodeJS.ErrnoException).code ?? error.name
  const why = explainTls(error, 'The model server', "the model's tls")
  const detail = `${address}: ${code} ${why ?? error.message}`
  if (code === 'UND_ERR_INVALID_ARG') {
    return new Problem('internal', 'The connector could not build the request to the model server.', {
      detail,
      cause: error,
    })
  }
  if (code.startsWith('HPE_') || error.name === 'HTTPParserError' || BROKEN_ANSWERS.has(code)) {
    // A gRPC server answers a request over HTTP/1.1 with frames of HTTP/2.
    const hint = error.message.includes(NO_START_LINE)
      ? '. If this is a gRPC port, set protocolVersion: grpc-v2.'
      : ''
    return new Problem('upstream_invalid_response', NOT_HTTP, { detail: `${detail}${hint}`, cause: error })
  }
  if (!hasAnswered && progress !== 'answering') {
    const needsCertificate = tlsFailure(error)?.kind === 'client-certificate'
    if (needsCertificate) return refusalProblem('mtls_required', { detail, cause: error })
    if (CLOSED.has(code)) return refusalProblem('connection_closed', { detail, cause: error })
  }
  if (progress === 'unsent' && CONNECT_TIMEOUTS.has(code)) {
    return refusalProblem('connect_timeout', { detail, cause: error })
  }
  const text = sentence(error, code, progress)
  const options = { detail, cause: error }
  if (OUR_OWN_END.has(code)) return new Problem('upstream_unreachable', text, options)
  return new UpstreamFailure('unreachable', progress !== 'unsent', 'upstream_unreachable', text, options)
}

const CERTIFICATE_SENTENCE = "The connector rejected the model server's TLS certificate."

// Messages for the requester; the detail contains the remedy.
const TLS_SENTENCES: Readonly<Record<TlsFailureKind, string>> = {
  untrusted: CERTIFICATE_SENTENCE,
  'wrong-name': CERTIFICATE_SENTENCE,
  'out-of-date': CERTIFICATE_SENTENCE,
  'client-certificate': "The model server rejected the connector's TLS certificate.",
  'not-tls': 'The model server does not speak TLS on its port.',
  'old-tls': 'The model server supports no TLS version that the connector accepts.',
  handshake: 'The TLS handshake with the model server failed.',
}

function sentence(error: Error, code: string, progress: Progress): string {
  if (progress === 'answering') return 'The connection to the model server broke during its response.'
  switch (code) {
    case 'ECONNREFUSED':
      return 'The model server refuses connections.'
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return "The model server's host name cannot be resolved."
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'The model server cannot be reached.'
    case 'ECONNRESET':
    case 'EPIPE':
    case 'UND_ERR_SOCKET':
      return 'The connection to the model server broke before a response arrived.'
    default: {
      const failure = tlsFailure(error)
      return failure === undefined ? 'The model server cannot be reached.' : TLS_SENTENCES[failure.kind]
    }
  }
}
