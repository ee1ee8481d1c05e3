// Tests how the clients of a model share its turns and its queue.
import { describe, expect, test } from 'vitest'
import { all, arrange, enter, settled, states, type Entered } from './testing/gate-arrangement.ts'

describe('clients', () => {
  test('take turns, however many requests one client has', async () => {
    const { gate } = arrange({ queueDepthMax: 200 })
    enter(gate, 1)
    const loud = all(gate, 'loud', 100)
    const quiet = all(gate, 'quiet', 3)
    for (let index = 0; index < 6; index++) gate.leave(1)
    await settled()
    expect([states(loud)['runs'], states(quiet)['runs']]).toEqual([3, 3])
  })

  test('share the model by bytes, not by requests: a client with large bodies gets fewer turns', async () => {
    const { gate } = arrange({ queueDepthMax: 200 })
    enter(gate, 1)
    const large = all(gate, 'large', 20, 40_000)
    const small = all(gate, 'small', 100, 1)
    for (let index = 0; index < 60; index++) gate.leave(1)
    await settled()
    expect(states(large)['runs']).toBeGreaterThanOrEqual(4)
    expect(states(large)['runs']).toBeLessThanOrEqual(8)
    expect(states(small)['runs']! + states(large)['runs']!).toBe(60)
  })

  test('get their share of a full queue: the newest request of the client with the most requests is rejected', async () => {
    const { gate, budget } = arrange({ queueDepthMax: 10 })
    enter(gate, 1)
    const loud = all(gate, 'loud', 10)
    const quiet = all(gate, 'quiet', 6)
    await settled()
    expect(states(quiet)).toEqual({ waits: 5, refused: 1 })
    expect(states(loud)).toEqual({ waits: 5, expired: 5 })
    expect(loud.slice(0, 5).every(({ state }) => state === 'waits')).toBe(true)
    expect([gate.waiting, budget.bytes]).toEqual([10, 11])
  })

  test('get their share of the bytes in a full queue', async () => {
    const { gate } = arrange({ queueDepthMax: 100, queueBytesMax: 100 })
    enter(gate, 1)
    const loud = all(gate, 'loud', 5, 20)
    const quiet = all(gate, 'quiet', 3, 25)
    await settled()
    expect(states(quiet)).toEqual({ waits: 2, refused: 1 })
    expect(states(loud)).toEqual({ waits: 2, expired: 3 })
  })

  test('get room in an exhausted byte budget at the expense of a client with more waiting bytes', async () => {
    const { gate, budget } = arrange({ queueDepthMax: 100 }, 100)
    enter(gate, 10)
    const loud = all(gate, 'loud', 9, 10)
    const quiet = all(gate, 'quiet', 5, 10)
    await settled()
    expect(states(quiet)).toEqual({ waits: 4, refused: 1 })
    expect(states(loud)).toEqual({ waits: 5, expired: 4 })
    expect(budget.bytes).toBe(100)
  })

  test('keep all their waiting requests if a new request is rejected', async () => {
    const { gate } = arrange({ queueDepthMax: 3, queueBytesMax: 100 })
    enter(gate, 1)
    const loud = all(gate, 'loud', 3, 30)
    expect(all(gate, 'quiet', 1, 60)[0]!.state).toBe('refused')
    await settled()
    expect(states(loud)).toEqual({ waits: 3 })
  })

  test('get nearly all their requests served even if another client sends over 100 times as many', async () => {
    const { gate } = arrange({ concurrency: 4, queueDepthMax: 200 })
    const quiet: Entered[] = []
    let random = 1
    for (let round = 0; round < 2_000; round++) {
      all(gate, 'loud', 5)
      random = (random * 48_271) % 0x7fff_ffff
      quiet.push(...all(gate, `quiet-${random % 99}`, 1))
      for (let index = 0; index < 4; index++) gate.leave(1)
      await Promise.resolve()
    }
    await settled()
    const { runs = 0, waits = 0 } = states(quiet)
    expect(runs / (quiet.length - waits)).toBeGreaterThan(0.95)
  })
})
