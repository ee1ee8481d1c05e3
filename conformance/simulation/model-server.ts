// The simulated model server: it answers, fails, hangs or kills the connector's process. Each answer contains the
// key of its request.
import { Problem } from '@inferwire/protocol'
import type { Endpoint, EndpointRequest, EndpointResponse } from '../../packages/connector/src/step.ts'
import type { Owner, SimulatedClock } from './clock.ts'
import type { Behaviour, PlannedRequest } from './scenario.ts'

/** The state that the calls of all processes share. */
export interface ModelServerWorld {
  readonly clock: SimulatedClock
  readonly requests: ReadonlyMap<string, PlannedRequest>
  /** Time until which every call fails, including calls in flight. */
  outageUntilMs: number
  called(process: number, key: string, call: number): void
  ended(process: number, key: string, call: number, outcome: string): void
  /** Kills a connector process. */
  kill(process: number): void
  /** Keys of requests that have killed a process. */
  readonly killers: Set<string>
  calls: number
  /** Whether the answer to a shared call contains one element for each request of the call. */
  readonly isDivisible: boolean
}

type Stream = Extract<Behaviour, { kind: 'stream' }>

interface RunningCall {
  readonly key: string
  readonly call: number
  readonly later: (ms: number, run: () => void) => void
  readonly answer: (bytes: number) => void
  readonly fail: (problem: Problem) => void
  readonly isOver: () => boolean
}

/** The endpoint of one connector process. */
export class SimulatedEndpoint implements Endpoint {
  readonly #world: ModelServerWorld
  readonly #process: number
  readonly #owner: Owner
  readonly #running = new Set<(problem: Problem) => void>()
  // For the key of each request that waits for a shared call: the number of that call.
  readonly #shared = new Map<string, number>()

  constructor(world: ModelServerWorld, process: number, owner: Owner) {
    this.#world = world
    this.#process = process
    this.#owner = owner
  }

  /** Stops the model server: calls in flight fail. */
  breakCalls(): void {
    for (const end of this.#running) end(new Problem('upstream_unreachable', 'The model server is gone.'))
  }

  call(request: EndpointRequest): Promise<EndpointResponse> {
    const world = this.#world
    const { deadline } = request
    if (deadline.problem !== undefined) throw deadline.problem
    const body = JSON.parse(request.body.toString()) as { key: string } | { key: string }[]
    if (Array.isArray(body))
      return this.#callShared(
        body.map(({ key }) => key),
        request,
      )
    const { key } = body
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
      let isOver = false
      const finish = (outcome: string): void => {
        isOver = true
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
        case 'stream':
          return this.#stream(behaviour, request, { key, call, later, answer, fail, isOver: () => isOver })
        case 'problem':
          return later(behaviour.ms, () => fail(new Problem('upstream_error', 'planned')))
        case 'hang':
          return
        case 'deadly':
          return later(1, () => {
            if (!this.#kill(key)) answer(30)
          })
      }
    })
  }

  /** Records that a request no longer waits for its shared call. The call continues for the other requests. */
  left(request: EndpointRequest, outcome: string): void {
    const { key } = JSON.parse(request.body.toString()) as { key: string }
    const call = this.#shared.get(key)
    if (call === undefined) return
    this.#shared.delete(key)
    this.#world.ended(this.#process, key, call, outcome)
  }

  // A shared call takes as long as the slowest of its requests, and fails if any of its requests is planned to
  // fail.
  #callShared(keys: readonly string[], { deadline }: EndpointRequest): Promise<EndpointResponse> {
    const world = this.#world
    const call = ++world.calls
    for (const key of keys) {
      world.called(this.#process, key, call)
      this.#shared.set(key, call)
    }
    const plans = keys.map((key) => sharedPlanOf(world.requests.get(key)!.behaviour))
    const ended = (outcome: string): void => {
      for (const key of keys) {
        if (this.#shared.get(key) !== call) continue
        this.#shared.delete(key)
        world.ended(this.#process, key, call, outcome)
      }
    }
    if (plans.some(({ end }) => end === 'throw')) {
      ended('throw')
      throw new Error('planned')
    }
    return new Promise((resolve, reject) => {
      const finish = (outcome: string): void => {
        if (timer !== undefined) world.clock.clear(timer)
        this.#running.delete(fail)
        deadline.waiting = undefined
        ended(outcome)
      }
      const fail = (problem: Problem): void => {
        finish(problem.code)
        reject(problem)
      }
      deadline.waiting = fail
      this.#running.add(fail)
      let timer: ReturnType<SimulatedClock['after']> | undefined
      const later = (ms: number, run: () => void): void => {
        timer = world.clock.after(ms, run, this.#owner)
      }
      if (world.clock.nowMs < world.outageUntilMs) {
        return later(1, () => fail(new Problem('upstream_unreachable', 'The model server is gone.')))
      }
      if (plans.some(({ end }) => end === 'hang')) return
      later(Math.max(...plans.map(({ ms }) => ms)), () => {
        const killer = keys.find((key, index) => plans[index]!.end === 'deadly' && this.#kill(key))
        if (killer !== undefined) return
        if (plans.some(({ end }) => end === 'problem')) {
          return fail(new Problem('upstream_error', 'planned', { status: 500 }))
        }
        finish(world.isDivisible ? 'ok' : 'indivisible')
        resolve(answerToShared(keys, call, plans, world.isDivisible))
      })
    })
  }

  // Answers in parts. If there is no delay between the parts, they arrive in one segment. Without `emit`, the answer is
  // a single message.
  #stream({ parts, everyMs, bytes, end }: Stream, { emit }: EndpointRequest, call: RunningCall): void {
    const { key, later, answer, fail } = call
    const finish = (): void => {
      if (end === 'answer' || (end === 'deadly' && !this.#kill(key))) answer(30)
      else if (end === 'problem') fail(new Problem('upstream_error', 'planned'))
    }
    let sent = 0
    const next = (): void => {
      do {
        if (emit === undefined || sent === parts) return later(everyMs, finish)
        emit({ body: partOf(key, call.call, sent, bytes), contentType: 'application/json' })
        sent += 1
      } while (everyMs === 0 && !call.isOver())
      if (!call.isOver()) later(everyMs, next)
    }
    later(everyMs, next)
  }

  // Kills the process if this is the first call for the request.
  #kill(key: string): boolean {
    const world = this.#world
    if (world.killers.has(key)) return false
    world.killers.add(key)
    world.kill(this.#process)
    return true
  }
}

function partOf(key: string, call: number, part: number, bytes: number): Uint8Array {
  return Buffer.from(JSON.stringify({ answer: key, call, part, fill: 'y'.repeat(bytes) }))
}

interface SharedPlan {
  readonly ms: number
  readonly bytes: number
  readonly end: 'answer' | 'problem' | 'hang' | 'deadly' | 'throw'
}

// A shared call never sends a multi-part answer: a planned stream becomes a single message.
function sharedPlanOf(behaviour: Behaviour): SharedPlan {
  switch (behaviour.kind) {
    case 'answer':
      return { ...behaviour, end: 'answer' }
    case 'stream':
      return { ms: behaviour.parts * behaviour.everyMs, bytes: behaviour.bytes, end: behaviour.end }
    case 'problem':
      return { ms: behaviour.ms, bytes: 0, end: 'problem' }
    case 'throw':
    case 'hang':
    case 'deadly':
      return { ms: 1, bytes: 30, end: behaviour.kind }
  }
}

function answerToShared(
  keys: readonly string[],
  call: number,
  plans: readonly SharedPlan[],
  isDivisible: boolean,
): EndpointResponse {
  const answers = keys.map((key, index) => ({ answer: key, call, fill: 'y'.repeat(plans[index]!.bytes) }))
  return responseOf(JSON.stringify(isDivisible ? answers : answers.slice(1)))
}

function answerOf(key: string, call: number, bytes: number): EndpointResponse {
  return responseOf(JSON.stringify({ answer: key, call, fill: 'y'.repeat(bytes) }))
}

function responseOf(body: string): EndpointResponse {
  return {
    status: 200,
    body: Buffer.from(body),
    contentType: 'application/json',
    inferenceHeaderContentLength: undefined,
  }
}
