// A model server of the simulation: answers, fails, hangs, kills. Its answer proves which request it saw.
import { Problem } from '@inferwire/protocol'
import type { Endpoint, EndpointRequest, EndpointResponse } from '../../packages/connector/src/step.ts'
import type { Owner, SimulatedClock } from './clock.ts'
import type { PlannedRequest } from './scenario.ts'

/** What the calls of all processes share. */
export interface ModelServerWorld {
  readonly clock: SimulatedClock
  readonly requests: ReadonlyMap<string, PlannedRequest>
  /** Until then every call fails, and so do those under way. */
  outageUntilMs: number
  called(process: number, key: string, call: number): void
  ended(process: number, key: string, call: number, outcome: string): void
  /** The process dies of this request. */
  kill(process: number): void
  /** Keys that have killed already. */
  readonly killers: Set<string>
  calls: number
}

/** The way to it from one process of the connector. */
export class SimulatedEndpoint implements Endpoint {
  readonly #world: ModelServerWorld
  readonly #process: number
  readonly #owner: Owner
  readonly #running = new Set<(problem: Problem) => void>()

  constructor(world: ModelServerWorld, process: number, owner: Owner) {
    this.#world = world
    this.#process = process
    this.#owner = owner
  }

  /** The model server stops: calls under way break. */
  breakCalls(): void {
    for (const end of this.#running) end(new Problem('upstream_unreachable', 'The model server is gone.'))
  }

  call(request: EndpointRequest): Promise<EndpointResponse> {
    const world = this.#world
    const { deadline } = request
    if (deadline.problem !== undefined) throw deadline.problem
    const { key } = JSON.parse(request.body.toString()) as { key: string }
    const call = ++world.calls
    world.called(this.#process, key, call)
    const { behaviour } = world.requests.get(key)!
    const ended = (outcome: string): void => world.ended(this.#process, key, call, outcome)
    if (behaviour.kind === 'throw') {
      ended('throw')
      throw new Error('planned')
    }
    return new Promise((resolve, reject) => {
      const fail = (problem: Problem): void => {
        finish(problem.code)
        reject(problem)
      }
      const finish = (outcome: string): void => {
        if (timer !== undefined) world.clock.clear(timer)
        this.#running.delete(fail)
        deadline.waiting = undefined
        ended(outcome)
      }
      let timer: ReturnType<SimulatedClock['after']> | undefined
      deadline.waiting = fail
      this.#running.add(fail)
      const later = (ms: number, run: () => void): void => {
        timer = world.clock.after(ms, run, this.#owner)
      }
      const answer = (bytes: number): void => {
        finish('ok')
        resolve(answerOf(key, call, bytes))
      }
      if (world.clock.nowMs < world.outageUntilMs) {
        return later(1, () => fail(new Problem('upstream_unreachable', 'The model server is gone.')))
      }
      switch (behaviour.kind) {
        case 'answer':
          return later(behaviour.ms, () => answer(behaviour.bytes))
        case 'problem':
          return later(behaviour.ms, () => fail(new Problem('upstream_error', 'planned')))
        case 'hang':
          return
        case 'deadly':
          if (world.killers.has(key)) return later(1, () => answer(30))
          world.killers.add(key)
          return later(1, () => world.kill(this.#process))
      }
    })
  }
}

function answerOf(key: string, call: number, bytes: number): EndpointResponse {
  const body = JSON.stringify({ answer: key, call, fill: 'y'.repeat(bytes) })
  return {
    status: 200,
    body: Buffer.from(body),
    contentType: 'application/json',
    inferenceHeaderContentLength: undefined,
  }
}
