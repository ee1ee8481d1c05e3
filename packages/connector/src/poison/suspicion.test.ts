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

test('what comes again runs together, at most 64 at once; what is new is no suspect', async () => {
  const { suspicion, running, enter, leave } = start()
  const names = Array.from({ length: 70 }, (_, index) => `r${index}`)
  for (const name of names) void enter(name)
  await settled()
  expect([running.length, suspicion.waiting]).toEqual([64, 6])
  leave('r0')
  await settled()
  expect(running.at(-1)).toBe('r64')
  expect(suspicion.suspectOf(delivery('new', false))).toBeUndefined()
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
  for (const name of ['survived', 'innocent', 'killer']) void first.enter(name)
  await settled()
  first.leave('survived')

  const second = start()
  expect(['survived', 'innocent', 'killer'].map(second.attempts)).toEqual([0, 1, 1])
  for (const name of ['other', 'innocent', 'killer']) void second.enter(name)
  await settled()
  // Those that were under way when a process ended run alone, after the others.
  expect(second.running).toEqual(['other'])
  second.leave('other')
  await settled()
  expect(second.running).toEqual(['innocent'])
  second.leave('innocent')
  await settled()
  expect(second.running).toEqual(['killer'])

  const third = start()
  expect(['other', 'innocent', 'killer'].map(third.attempts)).toEqual([0, 0, 2])
})

test('one that is known is suspected also when the broker does not say that it comes again', () => {
  const first = start()
  void first.enter('killer')
  expect(start().suspicion.suspectOf(delivery('killer', false))).toBeDefined()
})

test('which one runs alone next is left to chance', async () => {
  const first = start()
  for (const name of ['a', 'b', 'c']) void first.enter(name)
  await settled()
  const second = start(() => 0.99)
  for (const name of ['a', 'b', 'c']) void second.enter(name)
  await settled()
  expect(second.running).toEqual(['a'])
  second.leave('a')
  await settled()
  expect(second.running).toEqual(['c'])
})

test('a deadline that passes while it waits takes it out', async () => {
  const first = start()
  for (const name of ['a', 'b', 'c']) void first.enter(name)
  await settled()
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
