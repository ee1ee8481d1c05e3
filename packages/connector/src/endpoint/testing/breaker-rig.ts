// Sets up an endpoint with a circuit breaker in front of a fake server. The tests use vitest's fake timers.
import { Problem } from '@inferwire/protocol'
import { expect, vi } from 'vitest'
import type { Endpoint, EndpointRequest, EndpointResponse } from '../../step.ts'
import { createLog, UpstreamFigures } from '../../telemetry/index.ts'
import { Circuit, type CircuitOptions } from '../circuit.ts'
import { UpstreamFailure, type FailureSign } from '../upstream-failure.ts'
import { withBreaker } from '../with-breaker.ts'

/** The answer of the fake server. */
export const ANSWER: EndpointResponse = {
  status: 200,
  body: Buffer.from('{}'),
  contentType: 'application/json',
  inferenceHeaderContentLength: undefined,
}

/** Returns a failure of the server with this sign. */
export function failure(sign: FailureSign): UpstreamFailure {
  return new UpstreamFailure(sign, false, 'upstream_unreachable', 'It refuses.', { detail: 'why' })
}
/** A server that refuses connections. */
export const REFUSED = failure('unreachable')
/** A request whose deadline has passed. */
export const TIMED_OUT = new Problem('deadline_exceeded', 'x')

/** A call whose end the test decides. */
interface HangingCall {
  readonly outcome: Promise<unknown>
  /** Ends the call with the answer or the error; resolves with the outcome. */
  end(error?: Error): Promise<unknown>
}

/** A circuit that opens after five failures, and the endpoint that uses it. */
export class BreakerRig {
  readonly figures = new UpstreamFigures('iris')
  /** The parsed log lines. */
  readonly lines: Record<string, unknown>[] = []
  readonly options: CircuitOptions
  readonly circuit: Circuit
  readonly endpoint: Endpoint
  /** The number of calls of the fake server. */
  calls = 0
  /** The behaviour of the next calls; undefined = they succeed. */
  server: (() => Promise<EndpointResponse>) | undefined

  /** By default, `random` is 1, so each interval has its maximum length. */
  constructor(overrides: Partial<CircuitOptions> = {}) {
    this.options = {
      failuresMax: 5,
      openMinMs: 200,
      openMaxMs: 1_000,
      timeoutMinMs: 27_000,
      probesMax: 32,
      model: 'iris',
      url: 'http://iris/',
      log: createLog(
        { level: 'debug', format: 'json' },
        { write: (line) => this.lines.push(JSON.parse(line) as Record<string, unknown>) },
      ),
      figures: this.figures,
      random: () => 1,
      ...overrides,
    }
    this.circuit = new Circuit(this.options)
    this.circuit.begin()
    const inner: Endpoint = {
      call: () => {
        this.calls += 1
        return this.server === undefined ? Promise.resolve(ANSWER) : this.server()
      },
    }
    this.endpoint = withBreaker(inner, this.circuit)
  }

  /** Makes a call; resolves with the answer or the error. */
  ask(): Promise<unknown> {
    return this.endpoint.call({} as EndpointRequest).catch((error: unknown) => error)
  }

  /** Makes calls that fail after `afterMs`. */
  async fail(times: number, error: Error, afterMs = 0): Promise<void> {
    this.server = () =>
      new Promise((_resolve, reject) => {
        setTimeout(() => reject(error), afterMs)
      })
    const outcomes = Array.from({ length: times }, () => this.ask())
    await vi.advanceTimersByTimeAsync(afterMs)
    await Promise.all(outcomes)
    this.server = undefined
  }

  /** Opens the circuit. */
  async openIt(): Promise<void> {
    await this.fail(5, REFUSED)
    expect(this.circuit.state).toBe(2)
  }

  /** Makes a call that hangs until `end` is called. */
  hang(): HangingCall {
    let resolve!: (response: EndpointResponse) => void
    let reject!: (error: Error) => void
    const promise = new Promise<EndpointResponse>((...ends) => ([resolve, reject] = ends))
    this.server = () => promise
    const outcome = this.ask()
    this.server = undefined
    const end = (error?: Error): Promise<unknown> => {
      if (error === undefined) resolve(ANSWER)
      else reject(error)
      return outcome
    }
    return { outcome, end }
  }
}
