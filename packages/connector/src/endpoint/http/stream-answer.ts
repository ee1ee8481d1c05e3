// Processes the answer to one streaming call: turns its events into parts, and checks that the stream is complete.
import { Problem, type ProblemCode } from '@inferwire/protocol'
import type { EndpointRequest, EndpointResponse, TokenUsage } from '../../step.ts'
import type { ErrorText } from '../error-text.ts'
import { endOfStream, streamInterrupted } from '../stream-end.ts'
import { StreamClock, type StreamLimits } from '../stream-clock.ts'
import { JSON_TYPE } from './content-type.ts'
import { EventStreamParser, EventTooLargeError } from './event-stream.ts'
import type { BodySink, CallControl, HttpAnswer } from './http-call.ts'
import { ChunkJoiner } from './join-chunks.ts'
import { modelError } from './model-error.ts'
import {
  ChoiceEnds,
  choicesWanted,
  errorStatusOf,
  errorStatusOfBytes,
  isJsonEvent,
  parseChunk,
  parsePythonChunk,
  readUsage,
} from './stream-events.ts'

/** What determines how a stream is read. */
export interface StreamOptions {
  readonly request: EndpointRequest
  readonly head: HttpAnswer
  readonly control: CallControl
  readonly limits: StreamLimits
  /** Limit for one event. */
  readonly eventBytesMax: number
  /** The data of the event that ends a complete stream of chunks; undefined if the stream ends with its body. */
  readonly lastEvent: string | undefined
  readonly errorText: ErrorText
  /** Method and URL, for the operator's log. */
  readonly address: string
}

// The connection broke, or the server sent nothing more.
const BROKEN: ReadonlySet<ProblemCode> = new Set(['upstream_unreachable', 'stream_interrupted'])
// How long the server may take to end the body after the last event.
const END_WAIT_MS = 1_000

/** Emits the events of a response as parts of the answer. `close` must be called when the call has ended. */
export class StreamAnswer implements BodySink {
  readonly #options: StreamOptions
  readonly #clock: StreamClock
  readonly #joiner: ChunkJoiner
  readonly #parser: EventStreamParser
  readonly #ends = new ChoiceEnds()
  #hasEvents = false
  #hasLastEvent = false
  #isEnding = false
  #endWait: NodeJS.Timeout | undefined
  #usage: TokenUsage | undefined

  constructor(options: StreamOptions) {
    const { request, limits, control } = options
    this.#options = options
    this.#clock = new StreamClock(limits, request.deadline, (problem) => control.fail(problem))
    this.#joiner = new ChunkJoiner((part) => request.emit?.(part), request.coalesceMs ?? limits.coalesceMs)
    this.#parser = new EventStreamParser((data, name) => this.#event(data, name), options.eventBytesMax)
  }

  data(chunk: Buffer): void {
    this.#parse(() => this.#parser.push(chunk))
  }

  /** Ends the stream when its body has ended. @throws Problem if the stream is incomplete */
  end(): EndpointResponse {
    this.#isEnding = true
    this.#parse(() => this.#parser.end())
    this.#joiner.flush()
    if (this.#isIncomplete) {
      throw this.#hasEvents
        ? this.#interrupted("The model server's stream ended before the answer was complete.")
        : this.#invalid("The model server's stream contains no events.")
    }
    return endOfStream(this.#options.head.status, this.#usage)
  }

  /** Whether the stream was complete before this error, so that the error no longer matters. */
  isCompleteDespite(error: unknown): boolean {
    if (this.#hasLastEvent) return true
    // Without the last event, only a broken connection or a silent server is tolerated, not the client's deadline
    // or cancel message.
    const { code } = Problem.from(error)
    return BROKEN.has(code) && this.#options.lastEvent !== undefined && !this.#isIncomplete
  }

  /** Converts the error of the call: after the first part, a broken connection is `stream_interrupted`. */
  failed(error: unknown): unknown {
    if (!this.#hasEvents) return error
    this.#joiner.flush()
    const problem = Problem.from(error)
    if (problem.code !== 'upstream_unreachable') return error
    return this.#interrupted('The connection to the model server broke during its stream.', problem)
  }

  /** Stops the timers. */
  close(): void {
    this.#clock.end()
    this.#joiner.drop()
    clearTimeout(this.#endWait)
  }

  // Reads events. Parts that wait to be joined are sent before the stream ends with an error. What follows the last
  // event does not matter, so it is not parsed.
  #parse(step: () => void): void {
    if (this.#hasLastEvent) return
    try {
      step()
    } catch (error) {
      this.#joiner.flush()
      throw error instanceof EventTooLargeError ? this.#tooLarge() : error
    }
  }

  // If the dialect has no last event, as on Triton, a stream is complete when its body ends. In other dialects,
  // some servers omit the last event; the stream is then complete if each choice has a finish reason.
  get #isIncomplete(): boolean {
    const { lastEvent, request } = this.#options
    if (lastEvent === undefined || this.#hasLastEvent) return false
    return !this.#ends.areComplete(choicesWanted(request.body))
  }

  #event(data: Buffer, name: string): void {
    if (data.length === 0 || this.#hasLastEvent) return
    const { lastEvent } = this.#options
    if (lastEvent === undefined) return this.#plainEvent(data, name)
    if (data.length === lastEvent.length && data.toString('latin1') === lastEvent) return this.#lastEvent()
    const exact = parseChunk(data)
    const chunk = exact ?? parsePythonChunk(data)
    if (chunk === undefined) throw this.#notJson()
    const status = errorStatusOf(name, chunk)
    if (status !== undefined) throw this.#modelError(data, status)
    this.#ends.read(chunk)
    this.#usage = readUsage(chunk['usage']) ?? this.#usage
    this.#part()
    this.#joiner.add(data, exact)
  }

  #plainEvent(data: Buffer, name: string): void {
    const status = errorStatusOfBytes(name, data)
    if (status !== undefined) throw this.#modelError(data, status)
    if (!isJsonEvent(data)) throw this.#notJson()
    this.#part()
    this.#joiner.add(data, undefined)
  }

  #part(): void {
    this.#hasEvents = true
    if (!this.#isEnding) this.#clock.part()
  }

  #lastEvent(): void {
    this.#hasEvents = this.#hasLastEvent = true
    if (this.#isEnding) return
    this.#clock.end()
    this.#endWait = setTimeout(() => this.#options.control.finish(), END_WAIT_MS)
  }

  // An error event with a status is treated like a separate error response, both before and after the first part.
  #modelError(body: Buffer, status: number): Problem {
    const { address, head, errorText } = this.#options
    return modelError({
      status,
      body,
      contentType: JSON_TYPE,
      retryAfterMs: undefined,
      exchange: `${address}: ${head.status} with an error in the stream:`,
      isReadiness: false,
      errorText,
    })
  }

  #notJson(): Problem {
    return this.#isEnding && this.#hasEvents
      ? this.#interrupted("The model server's stream ended within an event.")
      : this.#invalid("An event of the model server's stream is not JSON.")
  }

  #tooLarge(): Problem {
    const { eventBytesMax } = this.#options
    return new Problem(
      'response_too_large',
      `An event of the model server's stream is larger than ${eventBytesMax} bytes.`,
      { detail: `${this.#options.address}. To allow larger events, raise models.*.limits.responseBytesMax.` },
    )
  }

  #interrupted(sentence: string, cause?: Problem): Problem {
    return streamInterrupted(sentence, this.#options.address, cause)
  }

  #invalid(sentence: string): Problem {
    return new Problem('upstream_invalid_response', sentence, { detail: this.#options.address })
  }
}
