// Interprets the errors of model servers. Their status alone does not distinguish a loading model from a bad request.
import { Problem } from '@inferwire/protocol'
import { readErrorText, shownBody, shownText, type ErrorText } from '../error-text.ts'
import { UpstreamFailure } from '../upstream-failure.ts'

/** An error response, with data about its request. */
export interface ErrorAnswer {
  readonly status: number
  readonly body: Uint8Array
  /** Content type that is valid in a PUBLISH. */
  readonly contentType: string
  readonly retryAfterMs: number | undefined
  /** For the operator's log: the request and the status of its response. */
  readonly exchange: string
  /** Whether it was a readiness request. */
  readonly isReadiness: boolean
  readonly errorText: ErrorText
}

/** The meaning of an error; undefined if the error concerns the request itself. */
type Meaning = 'loading' | 'full' | 'expired'

// Complete error texts of known servers, with any model name.
const KNOWN_TEXTS: readonly (readonly [status: number, text: RegExp, meaning: Meaning])[] = [
  // Triton, which accepts connections before its models are loaded.
  [404, /^Request for unknown model: /, 'loading'],
  [400, /^Request for unknown model: .* has no available versions$/, 'loading'],
  [400, /^Model version not ready$/, 'loading'],
  [503, /^(?:\[request id: .*\] )?Exceeds maximum queue size$/, 'full'],
  [503, /^(?:\[request id: .*\] )?Request timeout expired$/, 'expired'],
  // MLServer.
  [400, /^Model \S+(?: with version \S*)? is not ready yet\.$/, 'loading'],
  [404, /^Model \S+(?: with version \S*)? not found$/, 'loading'],
  // OpenVINO Model Server, TensorFlow Serving, TorchServe.
  [
    404,
    /^(?:Model with requested (?:name|version) is not found|Servable not found for request: )/,
    'loading',
  ],
  [404, /^Model not found: /, 'loading'],
]

// The time that a client should wait if a full server sends no Retry-After.
const FULL_RETRY_AFTER_MS = 1_000
// Limit on the error text in the log, which may be longer than the error text in the reply.
const DETAIL_CHARACTERS_MAX = 300

/**
 * Converts an error response into a Problem. An `upstream_error` has the server's own status and body; any other
 * problem has the status and body of the wire contract, with the server's text as its `error`.
 */
export function modelError(answer: ErrorAnswer): Problem {
  const { exchange, retryAfterMs } = answer
  const text = readErrorText(answer.body)
  const options = {
    detail: `${exchange} "${excerptOf(text)}"`,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  }
  const shown = shownText(text, answer.errorText)
  switch (meaningOf(answer, text)) {
    case 'loading':
      return new UpstreamFailure(
        'starting',
        false,
        'model_not_ready',
        shown || 'The model is not ready.',
        options,
      )
    case 'full': {
      const sign = retryAfterMs === undefined ? 'rejected' : 'busy'
      const sentence = shown || 'The model server is overloaded.'
      return new UpstreamFailure(sign, false, 'overloaded', sentence, {
        ...options,
        retryAfterMs: retryAfterMs ?? FULL_RETRY_AFTER_MS,
      })
    }
    case 'expired': {
      const sentence = shown || "The request expired in the model server's queue."
      return new UpstreamFailure('rejected', false, 'deadline_exceeded', sentence, options)
    }
    case undefined:
      return upstreamError(answer, shown, options)
  }
}

// Puts the exception of a traceback first, because the end of the text may be truncated.
function excerptOf(text: string): string {
  const line = shownText(text, 'first-line')
  const whole = text.startsWith(line) ? text : `${line} | ${text}`
  return whole.slice(0, DETAIL_CHARACTERS_MAX).replaceAll(/\s+/g, ' ')
}

function meaningOf({ status, isReadiness }: ErrorAnswer, text: string): Meaning | undefined {
  const known = KNOWN_TEXTS.find(([of, pattern]) => of === status && pattern.test(text))
  if (known !== undefined) return known[2]
  // RFC 6585 §4: 429 means too many requests.
  if (status === 429) return 'full'
  // KServe answers 503 while a registered model loads.
  if (status === 503) return 'loading'
  // Open Inference Protocol: 200 means ready, and 4xx means not ready. MLServer's 400 has no body.
  if (isReadiness && (status === 400 || status === 404)) return 'loading'
  return undefined
}

function upstreamError(
  { status, body, contentType, errorText }: ErrorAnswer,
  shown: string,
  options: { readonly detail: string; readonly retryAfterMs?: number },
): Problem {
  const sentence = `The model server answered with status ${status}.`
  const own = shownBody(body, errorText)
  const message = own === undefined && shown !== '' ? shown : sentence
  const all = { ...options, status, ...(own === undefined ? {} : { body: own, contentType }) }
  // A gateway may have timed out while the model was running.
  if (status === 502 || status === 504) {
    return new UpstreamFailure('no-answer', true, 'upstream_error', message, all)
  }
  return new Problem('upstream_error', message, all)
}
