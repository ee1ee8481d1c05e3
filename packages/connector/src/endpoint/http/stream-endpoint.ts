// The HTTP endpoint of an operation whose answer may be a stream of server-sent events.
import { findMembers, Problem, type Route } from '@inferwire/protocol'
import type { Endpoint, EndpointRequest, EndpointResponse } from '../../step.ts'
import { isEventStream, JSON_TYPE } from './content-type.ts'
import { EventStreamParser } from './event-stream.ts'
import type { HttpAnswer, OpenBody } from './http-call.ts'
import { HttpEndpoint, type HttpTarget } from './http-endpoint.ts'
import { StreamAnswer } from './stream-answer.ts'

/** Emits the events of a stream; any other response is the whole answer, as for an operation that is never streamed. */
export class StreamEndpoint implements Endpoint {
  readonly #target: HttpTarget
  readonly #whole: HttpEndpoint
  readonly #streamed: HttpEndpoint
  readonly #hasOwnPath: boolean
  readonly #lastEvent: string | undefined

  /** @param lastEvent the data of the event that ends a complete stream; undefined = the stream ends with its body */
  constructor(target: HttpTarget, { method, path, stream }: Route, lastEvent: string | undefined) {
    const streamPath = stream?.path ?? path
    this.#target = target
    this.#whole = new HttpEndpoint(target, { method, path })
    this.#streamed =
      streamPath === path ? this.#whole : new HttpEndpoint(target, { method, path: streamPath })
    this.#hasOwnPath = streamPath !== path
    this.#lastEvent = lastEvent
  }

  call(request: EndpointRequest): Promise<EndpointResponse> {
    const endpoint = this.#hasOwnPath && asksForStream(request.body) ? this.#streamed : this.#whole
    return request.emit === undefined ? endpoint.call(request) : this.#stream(endpoint, request)
  }

  async #stream(endpoint: HttpEndpoint, request: EndpointRequest): Promise<EndpointResponse> {
    let stream: StreamAnswer | undefined
    const { address } = endpoint
    const { stream: limits, responseBytesMax: eventBytesMax, errorText } = this.#target
    const lastEvent = this.#lastEvent
    const open: OpenBody = (head, control) => {
      if (head.status < 200 || head.status > 299 || !isEventStream(head.contentType)) return undefined
      if (head.coding !== undefined) {
        control.fail(encoded(head.coding, address))
        return undefined
      }
      stream = new StreamAnswer({
        request,
        head,
        control,
        limits,
        eventBytesMax,
        lastEvent,
        errorText,
        address,
      })
      return stream
    }
    const finish = (answer: HttpAnswer): EndpointResponse =>
      stream === undefined ? endpoint.judge(withoutFrame(answer)) : stream.end()
    try {
      return await endpoint.exchange(request, finish, open)
    } catch (error) {
      if (stream?.isCompleteDespite(error) === true) return stream.end()
      throw stream === undefined ? error : stream.failed(error)
    } finally {
      stream?.close()
    }
  }
}

// The last member with this name counts, as in most servers. A body that cannot be read is not a stream.
function asksForStream(body: Buffer): boolean {
  try {
    const place = findMembers(body, ['stream']).members.findLast(({ name }) => name === 'stream')
    return place !== undefined && body.toString('latin1', place.start, place.end) === 'true'
  } catch {
    return false
  }
}

function encoded(coding: string, address: string): Problem {
  return new Problem('upstream_invalid_response', "The model server's stream is compressed or encoded.", {
    detail: `${address}: coding "${coding.slice(0, 100)}", but the request accepts only identity. Disable compression in front of the model.`,
  })
}

// Triton sends the error before the first event as an event, with an error status.
function withoutFrame(answer: HttpAnswer): HttpAnswer {
  const { status, contentType, body, coding } = answer
  if (status < 400 || coding !== undefined || !isEventStream(contentType)) return answer
  let first: Buffer | undefined
  const parser = new EventStreamParser((data) => (first ??= data), body.length)
  parser.push(Buffer.from(body.buffer, body.byteOffset, body.length))
  parser.end()
  return first === undefined ? answer : { ...answer, body: first, contentType: JSON_TYPE }
}
