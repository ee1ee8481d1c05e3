// Tests the time limits of streams, and cancelled streams.
import type { ServerResponse } from 'node:http'
import { Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { RequestDeadline } from '../../admission/index.ts'
import { chunk, DONE, END, event, SSE, StreamRig } from './testing/stream-rig.ts'

let rig: StreamRig
beforeEach(async () => void (rig = await StreamRig.start(RequestDeadline)))
afterEach(() => rig.stop())

test("the model's timeout limits only the wait for the first part", async () => {
  const open: ServerResponse[] = []
  rig.answer = (response) => open.push(response.writeHead(200, SSE))
  const late = rig.call({ timeoutMs: 50 })
  expect((await late).problem).toMatchObject({ code: 'deadline_exceeded' })
  await rig.closedEarly
  rig.answer = (response) => {
    response.writeHead(200, SSE).write(event(chunk('a')))
    setTimeout(() => response.end(event(chunk('b', 'stop')) + DONE), 1_200)
  }
  expect(await rig.call({ timeoutMs: 1_000 })).toMatchObject({
    parts: [chunk('a'), chunk('b', 'stop')],
    response: END,
  })
})

test("a long pause, the total time and the client's deadline each end a stream, and close the connection", async () => {
  rig.answer = (response) => response.writeHead(200, SSE).write(event(chunk('a')))
  const idle = await rig.call({ limits: { idleTimeoutMs: 50 } })
  expect(idle.problem).toMatchObject({ code: 'stream_interrupted' })
  await rig.closedEarly
  const total = await rig.call({ limits: { timeoutMs: 50 } })
  expect(total.problem).toMatchObject({
    code: 'deadline_exceeded',
    message: expect.stringContaining(' 50 ms'),
  })
  await rig.closedEarly
  const client = await rig.call({ clientBudgetMs: 1_000 })
  expect(client.problem).toMatchObject({
    code: 'deadline_exceeded',
    message: expect.stringContaining(' 1000 ms'),
  })
  await rig.closedEarly
  expect([idle.parts, total.parts, client.parts]).toEqual([[chunk('a')], [chunk('a')], [chunk('a')]])
})

test('comments do not count as parts', async () => {
  rig.answer = (response) => {
    response.writeHead(200, SSE).write(event(chunk('a')))
    const timer = setInterval(() => response.write(': ping\n\n'), 10)
    response.once('close', () => clearInterval(timer))
  }
  expect((await rig.call({ limits: { idleTimeoutMs: 100 } })).problem).toMatchObject({
    code: 'stream_interrupted',
  })
})

test('a cancelled request closes the connection at once', async () => {
  rig.answer = (response) => response.writeHead(200, SSE).write(event(chunk('a')))
  const { parts, problem } = await rig.call({
    onPart: (deadline) => deadline.stop(new Problem('cancelled', 'cancelled')),
  })
  expect([parts, problem?.code]).toEqual([[chunk('a')], 'cancelled'])
  await rig.closedEarly
  expect(rig.pool.callsHeld).toBe(0)
})
