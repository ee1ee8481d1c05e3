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
  // Simulates a process that crashes.
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

// Simulates a process that starts after a crash, with the same state folder.
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

test('runs redelivered requests together, up to 64 at a time, and does not suspect new requests', async () => {
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

test('suspicion ends when all requests have ended and no redelivery arrives for a while', async () => {
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

test('at the third start, finds exactly the request that crashed both earlier processes', async () => {
  const first = start()
  for (const name of ['survived', 'harmless', 'killer']) void first.enter(name)
  await settled()
  first.leave('survived')

  const second = start()
  expect(['survived', 'harmless', 'killer'].map(second.attempts)).toEqual([0, 1, 1])
  for (const name of ['other', 'harmless', 'killer']) void second.enter(name)
  await settled()
  // Requests that were in flight at a crash run alone, after the others.
  expect(second.running).toEqual(['other'])
  second.leave('other')
  await settled()
  expect(second.running).toEqual(['harmless'])
  second.leave('harmless')
  await settled()
  expect(second.running).toEqual(['killer'])

  const third = start()
  expect(['other', 'harmless', 'killer'].map(third.attempts)).toEqual([0, 0, 2])
})

test('suspects a recorded request even if the broker redelivers it without DUP', () => {
  const first = start()
  void first.enter('killer')
  expect(start().suspicion.suspectOf(delivery('killer', false))).toBeDefined()
})

test('chooses at random which request runs alone next', async () => {
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

test('removes a waiting request when its deadline passes', async () => {
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
