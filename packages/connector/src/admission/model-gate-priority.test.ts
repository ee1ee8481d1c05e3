// Tests the order of requests with different priorities at a model's gate.
import type { Problem } from '@inferwire/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { GateLimits } from './model-gate.ts'
import { arrange, noDeadline, settled } from './testing/gate-arrangement.ts'

const BYTES = 100

function arrangeNamed(limits: Partial<GateLimits> = {}, bytesMax?: number) {
  const { gate } = arrange({ queueDepthMax: 100, ...limits }, bytesMax)
  const admitted: string[] = []
  const rejected: string[] = []
  const enter = (name: string, priority: number, client = 'a', bytes = BYTES): void => {
    try {
      const turn = gate.enter(client, bytes, noDeadline(), priority)
      if (turn === undefined) admitted.push(name)
      else
        turn.then(
          () => admitted.push(name),
          () => rejected.push(name),
        )
    } catch (error) {
      expect((error as Problem).code).toBe('overloaded')
      rejected.push(name)
    }
  }
  const leave = async (bytes = BYTES): Promise<void> => {
    gate.leave(bytes)
    await settled()
  }
  return { gate, admitted, rejected, enter, leave }
}

test('requests of a higher class run first; within a class, the clients take turns', async () => {
  const { admitted, enter, leave } = arrangeNamed()
  enter('running', 4)
  for (const name of ['low a1', 'low a2']) enter(name, 0, 'a')
  for (const name of ['a1', 'a2', 'a3']) enter(name, 4, 'a')
  for (const name of ['b1', 'b2']) enter(name, 4, 'b')
  enter('high b', 9, 'b')
  for (let turn = 0; turn < 9; turn += 1) await leave()
  expect(admitted).toEqual(['running', 'high b', 'a1', 'b1', 'a2', 'b2', 'a3', 'low a1', 'low a2'])
})

test('in a full queue a request replaces the newest one of the lowest class, but never one of a higher class', async () => {
  const { admitted, rejected, enter, leave } = arrangeNamed({ queueDepthMax: 3 })
  enter('running', 4)
  enter('low 1', 0)
  enter('low 2', 1)
  enter('high 1', 8)
  enter('normal', 4)
  await settled()
  expect(rejected).toEqual(['low 1'])
  enter('high 2', 9)
  await settled()
  expect(rejected).toEqual(['low 1', 'low 2'])
  enter('low 3', 3)
  expect(rejected).toEqual(['low 1', 'low 2', 'low 3'])
  for (let turn = 0; turn < 3; turn += 1) await leave()
  expect(admitted).toEqual(['running', 'high 2', 'high 1', 'normal'])
})

test('in a full queue, the clients of one class share the places that higher classes leave free', async () => {
  const { rejected, enter } = arrangeNamed({ queueDepthMax: 4 })
  enter('running', 4)
  enter('high', 9, 'c')
  for (const name of ['a1', 'a2', 'a3']) enter(name, 4, 'a')
  enter('b1', 4, 'b')
  enter('b2', 4, 'b')
  await settled()
  expect(rejected).toEqual(['b2', 'a3'])
})

test('if the byte budget is used up, requests of lower classes make room', async () => {
  const { rejected, enter } = arrangeNamed({ queueBytesMax: 300 }, 400)
  enter('running', 4)
  enter('low 1', 0)
  enter('low 2', 0)
  enter('high', 9, 'b', 200)
  await settled()
  expect(rejected).toEqual(['low 2'])
  enter('normal', 4, 'c', 150)
  expect(rejected).toEqual(['low 2', 'normal'])
  enter('higher', 9, 'c', 100)
  await settled()
  expect(rejected).toEqual(['low 2', 'normal', 'low 1'])
})

test('no request gets its turn while a higher class waits', async () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ priority: fc.nat(9), client: fc.constantFrom('a', 'b') }),
      fc.constant('leave' as const),
    ),
    { maxLength: 60 },
  )
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const { gate, admitted, enter, leave } = arrangeNamed()
      const waiting: number[] = []
      for (const step of all) {
        if (step !== 'leave') {
          const isRunning = gate.running === 1
          enter(String(step.priority), step.priority, step.client)
          if (isRunning) waiting.push(step.priority)
          await settled()
        } else if (gate.running === 1) {
          const before = admitted.length
          const highest = gate.waiting === 0 ? undefined : String(Math.max(...waiting))
          await leave()
          expect(admitted[before]).toBe(highest)
          if (highest !== undefined) waiting.splice(waiting.indexOf(Number(highest)), 1)
        }
      }
    }),
    { numRuns: 200 },
  )
})
