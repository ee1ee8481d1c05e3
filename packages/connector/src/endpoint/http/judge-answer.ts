// Distinguishes a model's response from responses of gateways and login pages, and from errors sent with status 200.
import type { Problem } from '@inferwire/protocol'
import type { EndpointResponse } from '../../step.ts'
import type { ErrorText } from '../error-text.ts'
import { classifyRefusal } from '../refusal/classify-refusal.ts'
import { isRefusedBeforeRun, refusalProblem } from '../refusal/refusal-problem.ts'
import type { ServiceTime } from '../refusal/service-time.ts'
import { isErrorIn200 } from './error-in-200.ts'
import { isWebPage, passable } from './content-type.ts'
import { goodAnswer } from './good-answer.ts'
import { NO_BODY, type HttpAnswer } from './http-call.ts'
import { modelError } from './model-error.ts'
import { readRedirect } from './redirect.ts'
import { retryAfterMs } from './retry-after.ts'

/** The data about the request, in addition to its address. */
export interface Asked {
  /** The Host that was sent, if it differs from the address. */
  readonly host?: string | undefined
  /** Whether it was a readiness request. */
  readonly isReadiness?: boolean
  /** How much of an error's text is sent to clients. */
  readonly errorText: ErrorText
  /** What the server's answers have shown; it is updated. @default nothing is known, and nothing is noted */
  readonly serviceTime?: ServiceTime
}

// Only the beginning of a body is searched for known texts.
const MARK_BYTES = 512
const SHOWN_CHARACTERS_MAX = 120

/**
 * Returns a successful response of the model, and throws for any other response.
 * @param address for the operator's log: the method, a space, and the URL
 * @throws Problem: `upstream_error` with the model server's own status and body, or another problem if the response
 * contains a known error text of a server or gateway. After an `UpstreamFailure`, a retry may succeed.
 */
export function judgeAnswer(given: HttpAnswer, address: string, asked: Asked): EndpointResponse {
  const { status } = given
  // A readiness request is answered with an empty body of any type.
  const isPage = isWebPage(given.contentType) && given.body.length > 0
  if (status >= 200 && status < 300 && !isPage) {
    const good = goodAnswer(given, address, asked.isReadiness ?? false)
    asked.serviceTime?.accepted(given.hasUpstreamServiceTime)
    if (good.inferenceHeaderContentLength === undefined && isErrorIn200(good.body)) {
      throw modelErrorOf(given, 500, `${address}: ${status} with an error in the body:`, asked)
    }
    return good
  }
  // An error keeps its status, but an encoded body is dropped because clients could not read it.
  const answer = given.coding === undefined ? given : { ...given, body: NO_BODY }
  throw refusalOf(given, address, asked) ?? modelErrorOf(answer, status, `${address}: ${status}`, asked)
}

/** Whether the model may have run, although the answer is an error; false after some refusals of a gateway. */
export function mayHaveRun(answer: HttpAnswer, address: string, asked: Asked): boolean {
  return !isRefusedBeforeRun(refusalOf(answer, address, asked))
}

function modelErrorOf(answer: HttpAnswer, status: number, exchange: string, asked: Asked): Problem {
  return modelError({
    status,
    body: answer.body,
    contentType: passable(answer.contentType),
    retryAfterMs: retryAfterMs(answer.retryAfter, answer.date),
    exchange,
    isReadiness: asked.isReadiness ?? false,
    errorText: asked.errorText,
  })
}

function refusalOf(answer: HttpAnswer, address: string, asked: Asked): Problem | undefined {
  const { status, contentType, wwwAuthenticate, body, isOverloaded } = answer
  const { host, serviceTime } = asked
  const text = Buffer.from(body.buffer, body.byteOffset, Math.min(body.length, MARK_BYTES)).toString('utf8')
  const redirect = readRedirect({ status, location: answer.location, address, host })
  const hasServiceTime = answer.hasUpstreamServiceTime
  const name = classifyRefusal(
    { status, contentType, text, redirect: redirect?.leadsTo, wwwAuthenticate, hasServiceTime, isOverloaded },
    serviceTime?.isTelling,
  )
  if (name === undefined) return undefined
  serviceTime?.refused(name, hasServiceTime)
  const shown = text.slice(0, SHOWN_CHARACTERS_MAX).replaceAll(/\s+/g, ' ')
  return refusalProblem(name, {
    detail: redirect?.detail ?? `${address}: ${status} "${shown}"`,
    retryAfterMs: retryAfterMs(answer.retryAfter, answer.date),
  })
}
