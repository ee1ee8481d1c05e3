import { expect, test } from 'vitest'
import { Turns } from './turns.ts'

const NEVER = new AbortController().signal

test('runs as many calls at once as there are turns, and the others in their order', async () => {
  const turns = new Turns(2)
  const begun: number[] = []
  const ends: (() => void)[] = []
  const calls = [0, 1, 2, 3].map((call) =>
    turns.take(NEVER, () => {
      begun.push(call)
      return new Promise<void>((resolve) => ends.push(resolve))
    }),
  )
  await expect.poll(() => begun).toEqual([0, 1])
  ends[1]!()
  await expect.poll(() => begun).toEqual([0, 1, 2])
  ends[0]!()
  await expect.poll(() => begun).toEqual([0, 1, 2, 3])
  ends[2]!()
  ends[3]!()
  await Promise.all(calls)
})

test('passes on the turn of a call that fails, or was aborted while it waited', async () => {
  const turns = new Turns(1)
  const aborting = new AbortController()
  const failing = turns.take(NEVER, () => Promise.reject(new Error('failed')))
  const aborted = turns.take(aborting.signal, () => Promise.resolve('ran'))
  const last = turns.take(NEVER, () => Promise.resolve('last'))
  aborting.abort(new Error('aborted'))
  await expect(failing).rejects.toThrow('failed')
  await expect(aborted).rejects.toThrow('aborted')
  expect(await last).toBe('last')
})
