// Tests that a watch can be stopped in every phase, and leaves nothing behind.
import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { KubeApi } from './kube-api.ts'
import type { KubeTarget } from './kube-target.ts'
import { ResourceWatch } from './resource-watch.ts'
import { ApiServer, WIDGETS } from './testing/api-server.ts'
import { Consumer, FAST, plainTarget } from './testing/consumer.ts'
import { followScope } from './watch-scope.ts'

let server: ApiServer
let consumer: Consumer
let api: KubeApi

beforeEach(async () => {
  server = new ApiServer()
  await server.start()
  consumer = new Consumer()
  api = new KubeApi(plainTarget(server.url), { pageSize: 2, silenceMs: 20_000 })
})

afterEach(async () => {
  await api.close()
  await server.stop()
})

const until = async (check: () => void): Promise<void> =>
  await vi.waitFor(check, { timeout: 20_000, interval: 2 })
const requested = async (count: number): Promise<void> =>
  await until(() => expect(server.requests.length).toBeGreaterThanOrEqual(count))

async function stop(watch: ResourceWatch): Promise<void> {
  const before = consumer.log.length
  const stopped = watch.stop()
  server.put('ns', 'late')
  await stopped
  await watch.firstStatus
  expect(consumer.log).toHaveLength(before)
  await until(() => expect(server.watchCount).toBe(0))
}

describe('stops at once', () => {
  // Long waits: a stop that waited for them would exceed the time limit of the test.
  const SLOW = { minMs: 1e8, maxMs: 1e8, slowMs: 1e8, listGapMs: 1e8 }
  const start = (): ResourceWatch => new ResourceWatch(api, { kind: WIDGETS, handlers: consumer, pace: SLOW })

  test('before anything has happened', async () => {
    await stop(start())
  })

  test('while a credential is being obtained', async () => {
    let isAsked = false
    const target: KubeTarget = {
      ...plainTarget(server.url),
      login: (signal) => {
        isAsked = true
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('over'))))
      },
    }
    await api.close()
    api = new KubeApi(target)
    const watch = start()
    await until(() => expect(isAsked).toBe(true))
    await stop(watch)
  })

  test('while a list is awaited', async () => {
    server.faults.push('silence')
    const watch = start()
    await requested(1)
    await stop(watch)
  })

  test('in the middle of a list', async () => {
    for (const name of ['a', 'b', 'c']) server.put('ns', name)
    server.refuse = ({ url }) => {
      if (url!.includes('continue')) server.faults.push('silence')
      return undefined
    }
    const watch = start()
    await requested(2)
    expect(consumer.log).toEqual(['set ns/a', 'set ns/b'])
    await stop(watch)
  })

  test('while it watches', async () => {
    const watch = start()
    await until(() => expect(server.watchCount).toBe(1))
    await stop(watch)
  })

  test.each([500, 403, 404])('while it waits after the status %s', async (status) => {
    server.faults.push({ status })
    const watch = start()
    await watch.firstStatus
    await stop(watch)
  })

  test('from a handler: the other objects are not reported', async () => {
    for (const name of ['a', 'b', 'c']) server.put('ns', name)
    const stopped = new Promise<void>((resolve) => {
      const watch = new ResourceWatch(api, {
        kind: WIDGETS,
        pace: FAST,
        handlers: {
          ...handlersOf(consumer),
          set: (object) => {
            consumer.set(object)
            void watch.stop().then(resolve)
          },
        },
      })
    })
    await stopped
    expect(consumer.log).toEqual(['set ns/a'])
  })
})

const handlersOf = (each: Consumer): Pick<Consumer, 'deleted' | 'status' | 'skipped'> => ({
  deleted: (ref) => each.deleted(ref),
  status: (...args) => each.status(...args),
  skipped: (unreadable) => each.skipped(unreadable),
})

test('keeps no listener of earlier requests', async () => {
  const stopping = new AbortController()
  const scope = {
    api,
    path: '/apis/example.org/v1alpha1/widgets',
    labelSelector: undefined,
    pace: FAST,
    silenceMs: 20_000,
    watchSeconds: () => 60,
  }
  const running = followScope(scope, consumer, stopping.signal)
  for (let round = 0; round < 20; round += 1) {
    await until(() => expect(server.watchCount).toBe(1))
    if (round % 4 === 0) server.faults.push({ status: 500 }, { cutAfterBytes: 0 })
    if (round % 2 === 0) server.endWatches()
    else server.cutWatches()
  }
  await until(() => expect(server.watchCount).toBe(1))
  expect(getEventListeners(stopping.signal, 'abort').length).toBeLessThanOrEqual(2)
  stopping.abort()
  await running
  expect(getEventListeners(stopping.signal, 'abort')).toHaveLength(0)
})

test('watches more than ten namespaces without a warning', async () => {
  const warnings: Error[] = []
  const note = (warning: Error): void => void warnings.push(warning)
  process.on('warning', note)
  const namespaces = Array.from({ length: 20 }, (_, index) => `ns-${index}`)
  const watch = new ResourceWatch(api, { kind: WIDGETS, namespaces, handlers: consumer, pace: FAST })
  await until(() => expect(server.watchCount).toBe(20))
  await watch.stop()
  await new Promise(setImmediate)
  process.off('warning', note)
  expect(warnings).toEqual([])
  expect(consumer.statuses).toHaveLength(20)
})
