// Tests session and pipeline on a simulated clock, network, broker and model server: many seeds, each with faults,
// judged by code that is based only on the requirements. SIMULATION_SEEDS and SIMULATION_FIRST select other seeds; `npm
// run simulate -- --seed N` replays one seed.
import { beforeAll, describe, expect, test } from 'vitest'
import { PLANTED_BUGS, type SimulatedBug } from './rig/planted-bugs.ts'
import { MUST_COME_UP } from './simulation/coverage.ts'
import { printHistory } from './simulation/history.ts'
import { withSimulatedTime } from './simulation/clock.ts'
import { BUG_HOOKS, type BugHooks } from './simulation/planted-bugs.ts'
import { printFailure, runSeeds, type Runs } from './simulation/run-seeds.ts'
import { simulate } from './simulation/simulate.ts'

const FIRST = Number(process.env['SIMULATION_FIRST'] ?? 1)
const COUNT = Number(process.env['SIMULATION_SEEDS'] ?? 10_000)
const TIMEOUT_MS = 600_000

describe(`the runs of ${COUNT} seeds from ${FIRST}`, () => {
  let runs: Runs
  beforeAll(async () => {
    runs = await runSeeds(FIRST, COUNT)
  }, TIMEOUT_MS)

  test('meet every requirement, and become idle', () => {
    const [failure] = runs.failures
    if (failure === undefined) return
    const seeds = runs.failures.map(({ seed }) => seed).join(', ')
    expect.fail(`Failed seeds: ${seeds}.\n${printFailure(failure)}`)
  })

  test('cover every fault, reason code and problem', () => {
    expect(MUST_COME_UP.filter((name) => (runs.coverage.get(name) ?? 0) < COUNT / 2_000)).toEqual([])
  })
})

test('a seed gives the same history every time, to the last byte', async () => {
  for (let seed = 1; seed <= 50; seed++) expect(await historyOf(seed)).toBe(await historyOf(seed))
})

test('time and random numbers are real again after a simulation', async () => {
  const before = timeAndChance()
  await runSeeds(1, 1)
  expect(timeAndChance()).toEqual(before)
})

const simulated = Object.entries(BUG_HOOKS) as [SimulatedBug, () => BugHooks][]

test.each(
  simulated.map(([name, make]) => [PLANTED_BUGS[name].what, PLANTED_BUGS[name].simulation, make] as const),
)(
  'detects a connector that %s',
  async (_what, rule, make) => {
    const { failures } = await runSeeds(1, 500, make, ({ violations }) =>
      violations.some((violation) => violation.rule === rule),
    )
    const rules = failures.flatMap(({ violations }) => violations.map((violation) => violation.rule))
    expect(rules).toContain(rule)
  },
  TIMEOUT_MS,
)

async function historyOf(seed: number): Promise<string> {
  const { events } = await withSimulatedTime(() => simulate(seed))
  return printHistory(events)
}

function timeAndChance(): unknown[] {
  return [setTimeout, setImmediate, clearTimeout, Math.random, Date.now, Object.keys(performance)]
}
