// Tests the watch against an API server that fails on request.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { KubeApi } from './kube-api.ts'
import { ResourceWatch, type ResourceWatchOptions } from './resource-watch.ts'
import { ApiServer, WIDGETS } from './testing/api-server.ts'
import { Consumer, FAST, plainTarget } from './testing/consumer.ts'

let server: ApiServer
let consumer: Consumer
let watch: ResourceWatch | undefined
let api: KubeApi

beforeEach(async () => {
  server = new ApiServer()
  await server.start()
  consumer = new Consumer()
  api = new KubeApi(plainTarget(server.url), { pageSize: 2, objectBytesMax: 10_000, silenceMs: 500 })
})

afterEach(async () => {
  await watch?.stop()
  watch = undefined
  await api.close()
  await server.stop()
})

function start(options: Partial<ResourceWatchOptions> = {}): void {
  watch = new ResourceWatch(api, { kind: WIDGETS, handlers: consumer, pace: FAST, ...options })
}

async function until(check: () => void): Promise<void> {
  await vi.waitFor(check, { timeout: 20_000, interval: 2 })
}

/** Waits until the consumer has the objects of the server. */
async function inSync(): Promise<void> {
  await until(() => expect(consumer.objects).toEqual(server.objects))
}

async function watching(): Promise<void> {
  await until(() => expect(server.watchCount).toBe(1))
}

const listCount = (): number => server.requests.filter((line) => !line.includes('watch=1')).length

test('reports the objects of a list with several pages, and then the changes', async () => {
  for (const name of ['a', 'b', 'c', 'd', 'e']) server.put('ns', name)
  start()
  await watch!.firstStatus
  expect(consumer.log).toEqual(['set ns/a', 'set ns/b', 'set ns/c', 'set ns/d', 'set ns/e', 'synced'])
  await watching()
  server.put('ns', 'a', { spec: { size: 2 } })
  server.delete('ns', 'b')
  server.put('other', 'b')
  await inSync()
  expect(consumer.log.slice(6)).toEqual(['set ns/a', 'deleted ns/b', 'set other/b'])
  expect(listCount()).toBe(3)
})

test('watches namespaces and labels on the server', async () => {
  server.put('one', 'a', {}, { team: 'x' })
  server.put('two', 'a', {}, { team: 'x' })
  server.put('one', 'b', {}, { team: 'y' })
  server.put('three', 'a', {}, { team: 'x' })
  start({ namespaces: ['one', 'two', 'one'], labelSelector: 'team=x' })
  await watch!.firstStatus
  expect([...consumer.objects.keys()].toSorted()).toEqual(['one/a', 'two/a'])
  await until(() => expect(server.watchCount).toBe(2))
  server.put('one', 'a', {}, { team: 'y' })
  await until(() => expect([...consumer.objects.keys()]).toEqual(['two/a']))
})

test('continues after a bookmark without another list', async () => {
  start()
  await watching()
  server.put('ns', 'a')
  await inSync()
  server.compact()
  server.bookmark()
  server.put('ns', 'b')
  await inSync()
  server.endWatches()
  await watching()
  server.put('ns', 'c')
  await inSync()
  expect(listCount()).toBe(1)
})

test.each([true, false])(
  'lists again after 410 (as a status: %s), and reports only differences',
  async (isStatus) => {
    server.isGoneAStatus = isStatus
    for (const name of ['a', 'b', 'c']) server.put('ns', name)
    start()
    await watching()
    server.cutWatches()
    await server.stop()
    server.delete('ns', 'a')
    server.put('ns', 'b', { spec: {} })
    server.delete('ns', 'c')
    server.put('ns', 'c', { spec: 'a new object with an old name' })
    server.put('ns', 'd')
    server.compact()
    consumer.log.length = 0
    await server.start()
    await inSync()
    expect(consumer.log.filter((entry) => /^(set|deleted)/.test(entry)).toSorted()).toEqual([
      'deleted ns/a',
      'deleted ns/c',
      'set ns/b',
      'set ns/c',
      'set ns/d',
    ])
  },
)

test('continues after a watch that was cut in the middle of a line', async () => {
  server.put('ns', 'a')
  start()
  await watching()
  server.cutWatches('{"type":"ADDED","object":{"metadata":{"name":"b')
  server.put('ns', 'b')
  await inSync()
  expect(consumer.skips).toEqual([])
  expect(listCount()).toBe(1)
})

test('does not list again because the API server was unreachable or busy', async () => {
  server.put('ns', 'a')
  start()
  await watching()
  for (let each = 0; each < 5; each += 1) server.faults.push({ cutAfterBytes: 0 }, { status: 429 })
  server.endWatches()
  server.put('ns', 'b')
  await inSync()
  expect(consumer.log.filter((entry) => entry !== 'failing')).toEqual([
    'set ns/a',
    'synced',
    'synced',
    'set ns/b',
  ])
  expect(listCount()).toBe(1)
})

test('reconnects after silence', async () => {
  start({ silenceMs: 50 })
  await watching()
  await until(() => expect(server.requests.length).toBeGreaterThan(3))
  server.put('ns', 'a')
  await inSync()
})

test('ends a list that never answers', async () => {
  server.faults.push('silence')
  server.put('ns', 'a')
  start()
  await inSync()
  expect(consumer.log[0]).toBe('failing')
  expect(consumer.statuses[0]).toMatchObject({ error: { reason: 'Timeout' } })
})
