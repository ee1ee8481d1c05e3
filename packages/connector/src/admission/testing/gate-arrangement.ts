// Sets up a model's gate, and requests that enter it.
import { Problem } from '@inferwire/protocol'
import { expect } from 'vitest'
import type { Deadline } from '../../step.ts'
import { ByteBudget } from '../byte-budget.ts'
import { ModelGate, type GateLimits } from '../model-gate.ts'

type TestDeadline = { -readonly [Key in keyof Deadline]: Deadline[Key] }

/** Returns a deadline that never passes. */
export const noDeadline = (): TestDeadline => ({ atMs: Infinity, problem: undefined, waiting: undefined })

/** The problem of a deadline that has passed. */
export const expired = new Problem('deadline_exceeded', 'too late')

/** Creates a gate for the model `iris`, and its byte budget. */
export function arrange(limits: Partial<GateLimits> = {}, bytesMax = 1_000_000) {
  const budget = new ByteBudget(bytesMax)
  const all = {
    concurrency: 1,
    queueDepthMax: 10,
    queueBytesMax: 1_000_000,
    queueWaitMaxMs: 5_000,
    ...limits,
  }
  return { budget, gate: new ModelGate('iris', all, budget) }
}

/** Enters a request. Its state is `runs` or `refused` at once, or `waits` and later `runs` or `expired`. */
export function enter(gate: ModelGate, bytes: number, deadline = noDeadline(), client = 'a') {
  const request = { bytes, deadline, state: 'runs' }
  try {
    const turn = gate.enter(client, bytes, deadline)
    if (turn !== undefined) {
      request.state = 'waits'
      turn.then(
        () => (request.state = 'runs'),
        () => (request.state = 'expired'),
      )
    }
  } catch (error) {
    expect(error).toMatchObject({ code: 'overloaded', retryable: true, retryAfterMs: 500 })
    request.state = 'refused'
  }
  return request
}

/** A request that has entered a gate, or tried to. */
export type Entered = ReturnType<typeof enter>

/** Enters `count` requests of one client. */
export const all = (gate: ModelGate, client: string, count: number, bytes = 1): Entered[] =>
  Array.from({ length: count }, () => enter(gate, bytes, noDeadline(), client))

/** Returns the number of requests in each state. */
export const states = (requests: readonly Entered[]) =>
  requests.reduce<Record<string, number>>(
    (counts, { state }) => ({ ...counts, [state]: (counts[state] ?? 0) + 1 }),
    {},
  )

/** Resolves when all turns that were given have taken effect. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
