// What a model server means by an error: its status alone does not tell a model that loads from a request that is wrong.
import { Problem } from '@inferwire/protocol'
import { readErrorText, shownBody, shownText, type ErrorText } from '../error-text.ts'
import { UpstreamFailure } from '../upstream-failure.ts'

/** An answer that is no success, with what is known of the request. */
export interface ErrorAnswer {
  readonly status: number
  readonly body: Uint8Array
  /** As a PUBLISH can carry it. */
  readonly contentType: string
  readonly retryAfterMs: number | undefined
  /** For the operator's log: the request, and how it was answered. */
  readonly exchange: string
  /** The request asked whether the model is ready. */
  readonly isReadiness: boolean
  readonly errorText: ErrorText
}

/** How an error is meant; undefined = it is about the request. */
type Meaning = 'loading' | 'full' | 'expired'

// Whole texts of known servers. They contain model names, which do not affect the match.
const KNOWN_TEXTS: readonly (readonly [status: number, text: RegExp, meaning: Meaning])[] = [
  // Triton. The server takes connections before its models are loaded.
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
  // Knative's queue, and Envoy's bound for pending requests.
  [503, /^pending request queue full/, 'full'],
  [503, /^upstream connect error or disconnect\/reset before headers\. .*reset reason: overflow/, 'full'],
]

// A server that is full and names no time. A second is what our own limits name.
const FULL_RETRY_AFTER_MS = 1_000
// For the log, where the client gets less.
const DETAIL_CHARACTERS_MAX = 300

/**
 * `upstream_error` has the server's own status and body. Any other problem has the status and the body of the wire
 * contract, with the server's text as its `error`.
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
      const sign = retryAfterMs === undefined ? 'turned-away' : 'busy'
      const sentence = shown || 'The model server has too many requests.'
      return new UpstreamFailure(sign, false, 'overloaded', sentence, {
        ...options,
        retryAfterMs: retryAfterMs ?? FULL_RETRY_AFTER_MS,
      })
    }
    case 'expired': {
      const sentence =
        shown || 'The request waited in the queue of the model server for longer than its limit.'
      return new UpstreamFailure('turned-away', false, 'deadline_exceeded', sentence, options)
    }
    case undefined:
      return upstreamError(answer, shown, options)
  }
}

// The exception of a traceback stands at its end.
function excerptOf(text: string): string {
  const line = shownText(text, 'first-line')
  const whole = text.startsWith(line) ? text : `${line} | ${text}`
  return whole.slice(0, DETAIL_CHARACTERS_MAX).replaceAll(/\s+/g, ' ')
}

function meaningOf({ status, isReadiness }: ErrorAnswer, text: string): Meaning | undefined {
  const known = KNOWN_TEXTS.find(([of, pattern]) => of === status && pattern.test(text))
  if (known !== undefined) return known[2]
  // RFC 6585 §4: too many requests.
  if (status === 429) return 'full'
  // KServe answers 503 while a known model loads.
  if (status === 503) return 'loading'
  // Open Inference Protocol: 200 says that a model is ready, and 4xx that it is not. MLServer's 400 is empty.
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
  // The gateway may have given up on a model that runs.
  if (status === 502 || status === 504) {
    return new UpstreamFailure('no-answer', true, 'upstream_error', message, all)
  }
  return new Problem('upstream_error', message, all)
}
