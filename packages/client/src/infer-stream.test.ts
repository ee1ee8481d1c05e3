import { expect, test } from 'vitest'
import { InferwireError } from './error.ts'
import { InferStream } from './infer-stream.ts'
import type { Reply } from './reply.ts'

const FINAL = { status: 200, usage: { promptTokens: 1, completionTokens: 2 } } as Reply
const END = { done: true, value: undefined }

function start(bounds = { partsMax: 2, bufferBytesMax: 100 }) {
  let cancels = 0
  const stream = new InferStream<string>('llm', bounds, () => void cancels++)
  return { stream, cancels: () => cancels }
}

test('resolves pending next() calls in order; when the stream ends, all calls that are still pending resolve as done', async () => {
  const { stream, cancels } = start()
  const [a, b, c] = [stream.next(), stream.next(), stream.next()]
  stream.push('1', 1)
  stream.push('2', 1)
  stream.end(FINAL)
  expect(await Promise.all([a, b, c])).toEqual([
    { done: false, value: '1' },
    { done: false, value: '2' },
    END,
  ])
  expect(stream.usage).toEqual(FINAL.usage)
  expect(cancels()).toBe(0)
})

test('a part for which a next() call is waiting does not count against the limits', async () => {
  const { stream } = start({ partsMax: 1, bufferBytesMax: 1 })
  const waiting = stream.next()
  stream.push('large', 1_000)
  expect(await waiting).toEqual({ done: false, value: 'large' })
  stream.push('x', 1)
  expect(() => stream.push('y', 1)).toThrow(/1 parts \(1 bytes\) wait to be read, and partsMax is 1/)
})

test('reading a part makes room for another part', async () => {
  const { stream } = start()
  for (let index = 0; index < 10; index++) {
    stream.push(String(index), 60)
    expect(await stream.next()).toMatchObject({ value: String(index) })
  }
})

test('throws an error once, after the parts that arrived before it, and then ends', async () => {
  const { stream, cancels } = start()
  stream.push('1', 1)
  stream.fail(new InferwireError('stream_interrupted', 'broken'))
  stream.fail(new InferwireError('cancelled', 'late'))
  expect(await stream.next()).toMatchObject({ value: '1' })
  await expect(stream.next()).rejects.toThrow('broken')
  expect(await stream.next()).toEqual(END)
  stream.cancel()
  expect(cancels()).toBe(0)
})

test('an error rejects the first waiting next() call; the other waiting calls resolve as done', async () => {
  const { stream } = start()
  const first = stream.next()
  const second = stream.next()
  stream.fail(new InferwireError('stream_interrupted', 'broken'))
  await expect(first).rejects.toThrow('broken')
  expect(await second).toEqual(END)
})

test('cancel() and return() stop the model only once, and drop the unread parts', async () => {
  const { stream, cancels } = start()
  stream.push('1', 1)
  expect(await stream.return()).toEqual(END)
  await stream.return()
  stream.cancel()
  expect(cancels()).toBe(1)
  expect(await stream.next()).toEqual(END)
})
