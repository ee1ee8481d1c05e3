// Tests requests that are cancelled or miss their deadline while they wait for a shared call or while it runs.
import { Problem } from '@inferwire/protocol'
import { describe, expect, test, vi } from 'vitest'
import {
  arrange,
  fakeClock,
  instances,
  outcomeOf,
  settled,
  singleOutcome,
  sizes,
} from './testing/batch-arrangement.ts'
import { requestOf, TestDeadline } from './testing/batch-model.ts'

fakeClock()

describe('a member that is cancelled or too late', () => {
  test('leaves the batch before the call', async () => {
    const { model, endpoint, release } = arrange()
    void endpoint.call(requestOf(instances([0])))
    await settled()
    const deadline = new TestDeadline()
    const left = endpoint.call(requestOf(instances([1]), { deadline }))
    const alone = endpoint.call(requestOf(instances([2])))
    deadline.stop()
    await expect(left).rejects.toMatchObject({ code: 'cancelled' })
    await release()
    await release()
    await alone
    expect(model.calls.map(({ body }) => body.toString())).toEqual([instances([0]), instances([2])])
  })

  test('leaves no empty batch behind', async () => {
    const { model, endpoint } = arrange({ delayMaxMs: 20 })
    const deadline = new TestDeadline()
    const request = requestOf(instances([1]), { deadline })
    const left = endpoint.call(request)
    vi.advanceTimersByTime(10)
    deadline.stop()
    await expect(left).rejects.toMatchObject({ code: 'cancelled' })
    expect(request.batchMs).toBe(10)
    vi.advanceTimersByTime(20)
    await settled()
    expect(model.calls).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('is not sent if its deadline has passed, even if the timer of the deadline is late', async () => {
    const { model, endpoint, release } = arrange({ delayMaxMs: 20 })
    const deadlines = [10, 500].map((ms) => new TestDeadline(performance.now() + ms))
    const [late, other] = deadlines.map((deadline, index) =>
      endpoint.call(requestOf(instances([index]), { deadline })),
    )
    vi.advanceTimersByTime(20)
    await settled()
    expect(model.calls.map(({ body }) => body.toString())).toEqual([instances([1])])
    deadlines[0]!.stop(new Problem('deadline_exceeded', 'late'))
    await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' })
    await release()
    await other
  })

  test('makes no call if the deadlines of all requests have passed', async () => {
    const { model, batcher, endpoint } = arrange({ delayMaxMs: 20 })
    const deadline = new TestDeadline(performance.now() + 10)
    const late = endpoint.call(requestOf(instances([1]), { deadline }))
    vi.advanceTimersByTime(20)
    await settled()
    deadline.stop(new Problem('deadline_exceeded', 'late'))
    await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' })
    expect(model.calls).toEqual([])
    expect(batcher.running).toBe(0)
  })

  test('is rejected at once during the call, while the other members continue', async () => {
    const { model, endpoint, release } = arrange()
    const deadline = new TestDeadline(100)
    const late = endpoint.call(requestOf(instances([1]), { deadline }))
    const other = requestOf(instances([2]), { deadline: new TestDeadline(500) })
    const answered = outcomeOf(endpoint.call(other))
    await settled()
    expect(model.calls[0]!.deadline.atMs).toBe(500)
    deadline.stop(new Problem('deadline_exceeded', 'late'))
    await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' })
    await release()
    expect(await answered).toEqual(singleOutcome(other))
    expect(sizes(model)).toEqual([2])
    expect(model.stopped).toBe(0)
  })

  test('is counted until the end of the call, like the merged body, because both stay in memory', async () => {
    const { model, budget, endpoint, release } = arrange()
    const deadline = new TestDeadline()
    const left = endpoint.call(requestOf(instances(1), { deadline }))
    const answered = endpoint.call(requestOf(instances(2)))
    await settled()
    const merged = model.calls[0]!.body.length
    expect(budget.bytes).toBe(merged)
    deadline.stop()
    await expect(left).rejects.toMatchObject({ code: 'cancelled' })
    expect(budget.bytes).toBe(merged + instances(1).length)
    await release()
    await answered
    expect(budget.bytes).toBe(0)
  })

  test('stops the call if it is the last member', async () => {
    const { model, batcher, endpoint } = arrange()
    const deadlines = [new TestDeadline(), new TestDeadline()]
    const calls = deadlines.map((deadline, index) =>
      endpoint.call(requestOf(instances([index]), { deadline })),
    )
    await settled()
    for (const deadline of deadlines) deadline.stop()
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'cancelled' })
    await settled()
    expect(model.stopped).toBe(1)
    expect(batcher.running).toBe(0)
  })
})
