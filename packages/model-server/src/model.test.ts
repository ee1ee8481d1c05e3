// Tests the queue of a model's calls, with an engine whose calls do not end until the test completes them.
import type { Tensor } from '@inferwire/protocol'
import { expect, test } from 'vitest'
import type { Engine } from './engine.ts'
import { loadModel } from './model.ts'
import { RUNS_WAITING_MAX } from './turns.ts'

const input: Tensor = { name: 'X', datatype: 'FP32', shape: [1], data: Float32Array.of(1) }
const present = new AbortController().signal

test('runs one call at a time, in order of arrival', async () => {
  const { engine, started, finish } = engineUnderControl()
  const model = await loadModel(engine, { name: 'm', file: 'm.onnx' })
  const answers = [1, 2, 3].map(async (value) =>
    model.run([{ ...input, data: Float32Array.of(value) }], ['Y'], present),
  )
  for (const value of [1, 2, 3]) {
    await expect.poll(started).toBe(value)
    finish()
  }
  const outputs = await Promise.all(answers)
  expect(outputs.map(([output]) => output?.data)).toEqual([1, 2, 3].map((value) => Float32Array.of(value)))
})

test("continues after a failed call, and returns the engine's error", async () => {
  const { engine, finish, started } = engineUnderControl()
  const model = await loadModel(engine, { name: 'm', file: 'm.onnx' })
  const failed = model.run([input], ['Y'], present)
  const next = model.run([input], ['Y'], present)
  await expect.poll(started).toBe(1)
  finish(new Error('out of memory'))
  await expect(failed).rejects.toMatchObject({ status: 500, body: { error: 'RuntimeError : out of memory' } })
  await expect.poll(started).toBe(2)
  finish()
  await expect(next).resolves.toHaveLength(1)
})

test('does not run a call whose client has disconnected', async () => {
  const { engine, finish, started } = engineUnderControl()
  const model = await loadModel(engine, { name: 'm', file: 'm.onnx' })
  const gone = new AbortController()
  const running = model.run([input], ['Y'], present)
  const abandoned = model.run([input], ['Y'], gone.signal)
  await expect.poll(started).toBe(1)
  gone.abort()
  finish()
  await running
  await expect(abandoned).rejects.toThrow('aborted')
  expect(started()).toBe(1)
})

test('responds 503 when the queue is full', async () => {
  const { engine, finish, started } = engineUnderControl()
  const model = await loadModel(engine, { name: 'm', file: 'm.onnx' })
  const gone = new AbortController()
  const running = model.run([input], ['Y'], present)
  await expect.poll(started).toBe(1)
  const waiting = Array.from({ length: RUNS_WAITING_MAX }, () => model.run([input], ['Y'], gone.signal))
  await expect(model.run([input], ['Y'], present)).rejects.toMatchObject({ status: 503 })
  gone.abort()
  finish()
  await running
  const outcomes = await Promise.allSettled(waiting)
  expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true)
})

function engineUnderControl() {
  let startedCount = 0
  let end: ((error?: Error) => void) | undefined
  const engine: Engine = {
    name: 'controlled',
    load: async () => ({
      inputs: [{ name: 'X', datatype: 'FP32', shape: [-1] }],
      outputs: [{ name: 'Y', datatype: 'FP32', shape: [-1] }],
      run(inputs) {
        startedCount++
        return new Promise((resolve, reject) => {
          end = (error) => (error === undefined ? resolve([...inputs]) : reject(error))
        })
      },
      release: async () => undefined,
    }),
  }
  return { engine, started: () => startedCount, finish: (error?: Error) => end?.(error) }
}
