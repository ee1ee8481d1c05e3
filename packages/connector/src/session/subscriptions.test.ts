import { expect, test } from 'vitest'
import { Subscriptions, type SubscriptionLink, type SubscriptionOptions } from './subscriptions.ts'

const GRANTED = 1
const NOT_AUTHORIZED = 0x87
const NEW = false
const RESUMED = true

// A fake broker that records its subscriptions, refuses the given filters, and lets the test answer the calls of
// `subscribe` and `unsubscribe`.
class Broker implements SubscriptionLink {
  readonly held = new Set<string>()
  readonly asked: string[] = []
  readonly refusals = new Map<string, number>()
  retainedFilters: readonly string[] = []
  isHolding = false
  #waiting: (() => void)[] = []

  async subscribe(filters: readonly string[]): Promise<readonly number[]> {
    this.asked.push(`+${filters.join()}`)
    if (!(await this.#turn())) return []
    return filters.map((filter) => {
      const code = this.refusals.get(filter) ?? GRANTED
      if (code <= 2) this.held.add(filter)
      return code
    })
  }

  async unsubscribe(filters: readonly string[]): Promise<readonly number[]> {
    this.asked.push(`-${filters.join()}`)
    if (!(await this.#turn())) return []
    return filters.map((filter) => {
      const code = this.refusals.get(filter) ?? 0
      if (code === 0) this.held.delete(filter)
      return code
    })
  }

  answer(): void {
    this.isHolding = false
    for (const go of this.#waiting.splice(0)) go()
  }

  #isCut = false

  cut(): void {
    this.#isCut = true
    this.answer()
    this.#isCut = false
  }

  async #turn(): Promise<boolean> {
    if (this.isHolding) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return !this.#isCut
  }
}

function arrange(options: Partial<SubscriptionOptions> = {}) {
  const reported: [string, boolean][] = []
  const kept: string[] = []
  const subscriptions = new Subscriptions({
    filters: ['a'],
    ownFilters: ['own'],
    share: undefined,
    refused: ({ message }, isOwn) => reported.push([/"(.+?)"/.exec(message)![1]!, isOwn]),
    kept: ({ message }) => kept.push(message),
    ...options,
  })
  return { subscriptions, reported, kept, broker: new Broker() }
}

test('subscribes to all filters on a new session, and to no filter on a resumed session', async () => {
  const { subscriptions, broker } = arrange({ filters: ['a', 'b'] })
  expect(await subscriptions.connected(broker, NEW)).toBe(true)
  expect(broker.asked).toEqual(['+a,b,own'])
  subscriptions.disconnected()
  expect(subscriptions.connected(broker, RESUMED)).toBeUndefined()
  subscriptions.disconnected()
  expect(await subscriptions.connected(broker, NEW)).toBe(true)
  expect(broker.asked).toEqual(['+a,b,own', '+a,b,own'])
})

test('subscribes to a filter of retained messages again on a resumed session', async () => {
  const { subscriptions, broker, reported } = arrange({ ownFilters: ['own', 'status'] })
  broker.retainedFilters = ['status']
  broker.refusals.set('status', 0)
  await subscriptions.connected(broker, NEW)
  subscriptions.disconnected()
  expect(await subscriptions.connected(broker, RESUMED)).toBe(true)
  await subscriptions.set(['a'])
  expect(broker.asked).toEqual(['+a,own,status', '+status'])
  // The filter in `retainedFilters` was granted with QoS 0, which is enough.
  expect(reported).toEqual([])
})

test('subscribes to the new filters before it unsubscribes from the old filters', async () => {
  const { subscriptions, broker } = arrange()
  await subscriptions.connected(broker, NEW)
  await subscriptions.set(['b', 'c'])
  expect(broker.asked.slice(1)).toEqual(['+b,c', '-a'])
  expect([...broker.held]).toEqual(['own', 'b', 'c'])
  expect(subscriptions.names).toEqual(['b', 'c'])
})

test('keeps only one call in flight at a time, and applies the newest list of filters', async () => {
  const { subscriptions, broker } = arrange()
  await subscriptions.connected(broker, NEW)
  broker.isHolding = true
  const all = [
    subscriptions.set(['a', 'b']),
    subscriptions.set(['a', 'b', 'c']),
    subscriptions.set(['c', 'd']),
  ]
  expect(broker.asked.slice(1)).toEqual(['+b'])
  broker.answer()
  await Promise.all(all)
  expect(broker.asked.slice(1)).toEqual(['+b', '+c,d', '-a,b'])
  expect([...broker.held].toSorted()).toEqual(['c', 'd', 'own'])
})

test.each([
  ['resumed', RESUMED],
  ['lost', NEW],
])(
  'repeats a change on the next connection if the connection ended before the broker granted the change: session %s',
  async (_what, given) => {
    const { subscriptions, broker } = arrange()
    await subscriptions.connected(broker, NEW)
    broker.isHolding = true
    const change = subscriptions.set(['b'])
    broker.cut()
    subscriptions.disconnected()
    const again = subscriptions.set(['b', 'c'])
    if (given === NEW) broker.held.clear()
    await subscriptions.connected(broker, given)
    await Promise.all([change, again])
    expect([...broker.held].toSorted()).toEqual(['b', 'c', 'own'])
  },
)

test('does not report success if the connection ends before the first SUBACK', async () => {
  const { subscriptions, broker } = arrange()
  broker.isHolding = true
  const done = subscriptions.connected(broker, NEW)
  broker.cut()
  subscriptions.disconnected()
  expect(await done).toBe(false)
  expect(await subscriptions.connected(broker, RESUMED)).toBe(true)
})

test.each([NOT_AUTHORIZED, 0])(
  'rejects when an initial filter is refused with reason code %i',
  async (code) => {
    const { subscriptions, broker, reported } = arrange()
    broker.refusals.set('a', code)
    await expect(subscriptions.connected(broker, NEW)).rejects.toThrow('"a"')
    expect(reported).toEqual([])
  },
)

test.each([NOT_AUTHORIZED, 0])(
  'reports a filter that is refused at run time with reason code %i, and keeps the other filters',
  async (code) => {
    const { subscriptions, broker, reported } = arrange()
    await subscriptions.connected(broker, NEW)
    broker.refusals.set('b', code)
    await expect(subscriptions.set(['a', 'b', 'c'])).rejects.toThrow('"b"')
    expect([...broker.held].toSorted()).toEqual(['a', 'c', 'own'])
    expect(reported).toEqual([['b', false]])
    // On a new connection the filter is requested again; the session continues without it.
    subscriptions.disconnected()
    expect(await subscriptions.connected(broker, NEW)).toBe(true)
    expect(reported).toEqual([['b', false]])
    broker.refusals.clear()
    await subscriptions.set(['a', 'b', 'c'])
    expect([...broker.held].toSorted()).toEqual(['a', 'b', 'c', 'own'])
  },
)

test('fails to connect while the list contains a filter that the broker granted before and now refuses', async () => {
  const { subscriptions, broker } = arrange()
  await subscriptions.connected(broker, NEW)
  await subscriptions.set(['a', 'b'])
  subscriptions.disconnected()
  broker.refusals.set('b', NOT_AUTHORIZED)
  await expect(subscriptions.connected(broker, NEW)).rejects.toThrow('"b"')
  subscriptions.disconnected()
  const change = subscriptions.set(['a'])
  expect(await subscriptions.connected(broker, NEW)).toBe(true)
  await change
})

test('continues if a filter in ownFilters is refused, and reports the refusal once', async () => {
  const { subscriptions, broker, reported } = arrange()
  broker.refusals.set('own', NOT_AUTHORIZED)
  for (let count = 0; count < 3; count++) {
    expect(await subscriptions.connected(broker, NEW)).toBe(true)
    subscriptions.disconnected()
  }
  expect(reported).toEqual([['own', true]])
})

test('subscribes with the share name, and removes the unshared subscription of an earlier process', async () => {
  const { subscriptions, broker } = arrange({ filters: ['a', 'b'], share: 'g' })
  broker.held.add('a')
  await subscriptions.connected(broker, RESUMED)
  expect([...broker.held].toSorted()).toEqual(['$share/g/a', '$share/g/b', 'own'])
  expect(subscriptions.names).toEqual(['$share/g/a', '$share/g/b'])
})

test('during a drain, unsubscribes from shared filters, and keeps the unshared ones for the next start', async () => {
  const alone = arrange()
  await alone.subscriptions.connected(alone.broker, NEW)
  await alone.subscriptions.stop()
  expect([...alone.broker.held]).toEqual(['a', 'own'])
  const shared = arrange({ filters: ['a', 'b'], share: 'g' })
  await shared.subscriptions.connected(shared.broker, NEW)
  await shared.subscriptions.stop()
  expect([...shared.broker.held]).toEqual(['own'])
})

test('reports a refused UNSUBSCRIBE once, and sends it again on the next connection', async () => {
  const { subscriptions, broker, kept } = arrange({ filters: ['a', 'b'] })
  await subscriptions.connected(broker, NEW)
  broker.refusals.set('b', NOT_AUTHORIZED)
  await subscriptions.set(['a'])
  await subscriptions.set(['a', 'c'])
  expect(broker.asked).toEqual(['+a,b,own', '-b', '+c'])
  expect(kept).toEqual(['The broker refused to unsubscribe from "b" (not authorized, 0x87).'])
  // The filter is wanted again, and its subscription still exists on the broker.
  await subscriptions.set(['a', 'b', 'c'])
  await subscriptions.set(['a', 'c'])
  expect(broker.asked).toHaveLength(3)
  subscriptions.disconnected()
  broker.refusals.clear()
  expect(await subscriptions.connected(broker, RESUMED)).toBe(true)
  expect(broker.asked.slice(3)).toEqual(['-b'])
  expect([...broker.held].toSorted()).toEqual(['a', 'c', 'own'])
})

test('rejects a pending change when the session is closed', async () => {
  const { subscriptions } = arrange()
  const change = subscriptions.set(['b'])
  subscriptions.close()
  await expect(change).rejects.toThrow('The session was closed.')
  await expect(subscriptions.set(['c'])).rejects.toThrow('The session was closed.')
})
