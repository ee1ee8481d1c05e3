// Tests when `batching: auto` holds requests, so that other requests can join them.
import { expect, test, vi } from 'vitest'
import { arrange, fakeClock, instances, settled, sizes } from './testing/batch-arrangement.ts'
import { answer, requestOf } from './testing/batch-model.ts'

fakeClock()

const auto = { isLearning: true, delayMaxMs: 10, concurrency: 8 }

test('never waits while no call runs', async () => {
  const { model, endpoint, release } = arrange(auto)
  for (let count = 1; count <= 20; count += 1) {
    const response = endpoint.call(requestOf(instances([count])))
    await settled()
    expect(model.calls).toHaveLength(count)
    await release()
    await response
  }
})

test('holds requests while a call runs, and sends them when the call ends', async () => {
  const { model, endpoint, release } = arrange(auto)
  for (const value of [1, 2, 3]) {
    void endpoint.call(requestOf(instances([value])))
    await settled()
  }
  expect(sizes(model)).toEqual([1])
  await release()
  expect(sizes(model)).toEqual([1, 2])
})

test('stops holding requests if the duration of calls grows with their size', async () => {
  const { bind } = arrange({ ...auto, sizeMax: 64 })
  const calls: number[] = []
  const endpoint = bind({
    call: async (request) => {
      const rows = (JSON.parse(request.body.toString()) as { instances: unknown[] }).instances.length
      calls.push(rows)
      await new Promise((resolve) => setTimeout(resolve, rows * 10))
      return answer(request)
    },
  })
  const ask = (count: number): Promise<unknown> =>
    endpoint.call(requestOf(instances(...Array.from({ length: count }, (_, index) => [index]))))
  for (let round = 0; round < 20; round += 1) {
    const rows = 1 + (round % 5)
    const answered = ask(rows)
    await settled()
    vi.advanceTimersByTime(rows * 10)
    await answered
  }
  const held = [ask(1)]
  await settled()
  held.push(ask(1))
  await settled()
  expect(calls.slice(-2)).toEqual([1, 1])
  vi.advanceTimersByTime(100)
  await Promise.all(held)
})

test('stops holding requests if no other request ever joins', async () => {
  const { model, endpoint, release } = arrange(auto)
  let waited = 0
  for (let round = 0; round < 60; round += 1) {
    const before = model.calls.length
    void endpoint.call(requestOf(instances([round])))
    await settled()
    void endpoint.call(requestOf(instances([round])))
    await settled()
    if (model.calls.length - before === 1) waited += 1
    vi.advanceTimersByTime(5)
    await release()
    await release()
  }
  expect(waited).toBeGreaterThan(10)
  expect(waited).toBeLessThan(50)
})
