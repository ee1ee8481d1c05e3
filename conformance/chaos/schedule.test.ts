// Tests that the seed alone determines the schedule, and that a failing schedule can be shortened.
import { expect, test } from 'vitest'
import { FAULT_WEIGHTS, makeSchedule, shrinkSchedule, type Fault } from './schedule.ts'

const OPTIONS = { seed: 42, faults: 1000, durationMs: 2_500_000 }

test('the same seed creates the same schedule, and different seeds create different schedules', () => {
  expect(makeSchedule(OPTIONS)).toEqual(makeSchedule(OPTIONS))
  expect(makeSchedule({ ...OPTIONS, seed: 43 })).not.toEqual(makeSchedule(OPTIONS))
})

test('a schedule contains the requested number of faults, of every kind, in chronological order', () => {
  const schedule = makeSchedule(OPTIONS)
  const times = schedule.map(({ atMs }) => atMs)
  expect(schedule).toHaveLength(1000)
  expect(times).toEqual(times.toSorted((one, other) => one - other))
  expect(times.at(-1)).toBeLessThanOrEqual(OPTIONS.durationMs)
  expect(new Set(schedule.map(({ kind }) => kind))).toEqual(new Set(Object.keys(FAULT_WEIGHTS)))
  expect(schedule.filter(({ kind }) => kind === 'broker-kill').length).toBeGreaterThan(180)
})

test('a schedule is reduced to two faults if only their combination causes a failure', async () => {
  const schedule = makeSchedule({ ...OPTIONS, faults: 40 })
  const faulty = [schedule[7]!, schedule[31]!]
  let runs = 0
  const fails = (candidate: readonly Fault[]): Promise<boolean> => {
    runs += 1
    return Promise.resolve(faulty.every((fault) => candidate.includes(fault)))
  }
  expect(await shrinkSchedule(schedule, fails)).toEqual(faulty)
  expect(runs).toBeLessThan(100)
})
