import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Problem } from '@inferwire/protocol'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Deadline } from '../step.ts'
import { Journal } from './journal.ts'
import { Suspicion } from './suspicion.ts'

let folder: string
beforeEach(() => {
  vi.useFakeTimers()
  folder = mkdtempSync(join(tmpdir(), 'inferwire-suspicion-'))
  // A process that ends without a goodbye.
  expect(new Journal(folder).wasUnclean).toBe(false)
})
afterEach(() => {
  vi.useRealTimers()
  rmSync(folder, { recursive: true })
})

const noDeadline = (): { -readonly [Key in keyof Deadline]: Deadline[Key] } => ({
  atMs: Infinity,
  problem: undefined,
  waiting: undefined,
})
const delivery = (name: string, dup = true) => ({
  topic: `infer/request/cam7/iris/infer/${name}`,
  payload: Buffer.from('{}'),
  properties: {},
  dup,
})

// A process that has just started on the folder, after the last one crashed.
function start(random = () => 0) {
  const journal = new Journal(folder)
  let isOver = false
  const suspicion = new Suspicion(journal, () => (isOver = true), random)
  const running: string[] = []
  const enter = async (name: string, deadline = noDeadline()): Promise<void> => {
    await suspicion.enter(suspicion.suspectOf(delivery(name))!, deadline)
    running.push(name)
  }
  const leave = (name: string): void => {
    running.splice(running.indexOf(name), 1)
    suspicion.leave(suspicion.suspectOf(delivery(name))!)
  }
  const attempts = (name: string): number => suspicion.attemptsOf(suspicion.suspectOf(delivery(name)) ?? '')
  suspicion.begin()
  return { suspicion, running, enter, leave, attempts, isOver: () => isOver }
}
const settled = () => vi.advanceTimersByTimeAsync(0)

test('what comes again runs one at a time, in order; what is new is no suspect', async () => {
  const { suspicion, running, enter, leave } = start()
  for (const name of ['a', 'b', 'c']) void enter(name)
  await settled()
  expect([running, suspicion.waiting]).toEqual([['a'], 2])
  leave('a')
  await settled()
  expect(running).toEqual(['b'])
  expect(suspicion.suspectOf(delivery('d', false))).toBeUndefined()
})

test('it is over when nobody is left and nothing more comes for a while', async () => {
  const { enter, leave, isOver } = start()
  await vi.advanceTimersByTimeAsync(900)
  void enter('a')
  await vi.advanceTimersByTimeAsync(900)
  expect(isOver()).toBe(false)
  leave('a')
  expect(isOver()).toBe(false)
  await vi.advanceTimersByTimeAsync(100)
  expect(isOver()).toBe(true)
  expect(vi.getTimerCount()).toBe(0)
})

test('a request that ends the process each time is known at the third start, and only that one', async () => {
  const first = start()
  void first.enter('innocent')
  void first.enter('killer')
  await settled()
  first.leave('innocent')
  await settled()
  expect(first.running).toEqual(['killer'])

  const second = start()
  expect([second.attempts('innocent'), second.attempts('killer')]).toEqual([0, 1])
  void second.enter('other')
  void second.enter('killer')
  void second.enter('third')
  await settled()
  second.leave('other')
  await settled()
  expect(second.running).toEqual(['killer'])

  const third = start()
  expect([third.attempts('other'), third.attempts('third'), third.attempts('killer')]).toEqual([0, 0, 2])
})

test('one that is known is suspected also when the broker does not say that it comes again', () => {
  const first = start()
  void first.enter('killer')
  expect(start().suspicion.suspectOf(delivery('killer', false))).toBeDefined()
})

test('after five seconds the rest runs together, watched, and alone at the next start', async () => {
  const first = start()
  for (const name of ['slow', 'b', 'c']) void first.enter(name)
  await vi.advanceTimersByTimeAsync(5_000)
  expect(first.running).toEqual(['slow', 'b', 'c'])

  const second = start()
  void second.enter('new')
  await vi.advanceTimersByTimeAsync(5_000)
  for (const name of ['b', 'c', 'newer']) void second.enter(name)
  await settled()
  expect([second.running, second.attempts('b'), second.attempts('c')]).toEqual([['new', 'newer'], 1, 1])
  for (const name of ['new', 'newer']) second.leave(name)
  await settled()
  expect(second.running).toEqual(['b'])
})

test('which one runs next is left to chance', async () => {
  const { running, enter } = start(() => 0.99)
  for (const name of ['a', 'b', 'c']) void enter(name)
  await settled()
  expect(running).toEqual(['a'])
  const other = start(() => 0.99)
  void other.enter('a')
  for (const name of ['b', 'c']) void other.enter(name)
  await settled()
  other.leave('a')
  await settled()
  expect(other.running).toEqual(['c'])
})

test('a deadline that passes while it waits takes it out', async () => {
  const { suspicion, running, enter, leave } = start()
  void enter('a')
  const deadline = noDeadline()
  const late = enter('b', deadline)
  void enter('c')
  await settled()
  deadline.waiting!(new Problem('deadline_exceeded', 'x'))
  await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' })
  leave('a')
  await settled()
  expect([running, suspicion.waiting]).toEqual([['c'], 0])
})
