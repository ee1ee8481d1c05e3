// Tests how the watch reports refusals and unreadable objects, and that it recovers from them.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
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
  api = new KubeApi(plainTarget(server.url), { pageSize: 2, objectBytesMax: 10_000, silenceMs: 5_000 })
})

afterEach(async () => {
  await watch?.stop()
  await api.close()
  await server.stop()
})

function start(options: Partial<ResourceWatchOptions> = {}): void {
  watch = new ResourceWatch(api, { kind: WIDGETS, handlers: consumer, pace: FAST, ...options })
}

const until = async (check: () => void): Promise<void> =>
  await vi.waitFor(check, { timeout: 20_000, interval: 2 })
const inSync = async (): Promise<void> => await until(() => expect(consumer.objects).toEqual(server.objects))
const watching = async (): Promise<void> => await until(() => expect(server.watchCount).toBe(1))
const inState = async (state: string): Promise<void> =>
  await until(() => expect(consumer.statuses.at(-1)?.state).toBe(state))
const states = (): string[] => consumer.statuses.map(({ state }) => state)
const lists = (): number => server.requests.filter((each) => !each.includes('watch=1')).length
const changes = (): string[] => consumer.log.filter((entry) => /^(set|deleted|skipped)/.test(entry))

describe('keeps the objects, and continues, after', () => {
  test.each([
    [403, 'forbidden', 'Forbidden'],
    [401, 'failing', 'Unauthorized'],
    [429, 'failing', 'TooManyRequests'],
    [500, 'failing', 'InternalError'],
    [503, 'failing', 'ServiceUnavailable'],
  ])('the status %s, which it reports once as %s', async (status, state, reason) => {
    server.put('ns', 'a')
    start()
    await watching()
    server.refuse = () => status
    server.endWatches()
    await inState(state)
    const before = server.requests.length
    await until(() => expect(server.requests.length).toBeGreaterThan(before + 4))
    expect(consumer.statuses.at(-1)).toMatchObject({ error: { status, reason } })
    expect([...consumer.objects.keys()]).toEqual(['ns/a'])
    server.delete('ns', 'a')
    server.put('ns', 'b')
    server.refuse = () => undefined
    await inSync()
    await inState('synced')
    expect(states()).toEqual(['synced', state, 'synced'])
  })

  test('a list that is refused', async () => {
    server.put('ns', 'a')
    server.faults.push({ status: 500 }, { status: 403 })
    start()
    await watch!.firstStatus
    expect(consumer.log).toEqual(['failing'])
    await inSync()
    await until(() => expect(states()).toEqual(['failing', 'forbidden', 'synced']))
  })

  test('a list that is cut off in its second page', async () => {
    for (const name of ['a', 'b', 'c']) server.put('ns', name)
    server.faults.push({ cutAfterBytes: 10_000 }, { cutAfterBytes: 60 })
    start()
    await inSync()
    expect(changes()).toEqual(['set ns/a', 'set ns/b', 'set ns/c'])
  })
})

test('waits as long as Retry-After demands', async () => {
  server.faults.push({ status: 429, retryAfter: '1' })
  const startedAtMs = performance.now()
  start()
  await inState('synced')
  // Timers may be a little early.
  expect(performance.now() - startedAtMs).toBeGreaterThan(990)
  // The watch may already follow.
  expect(lists()).toBe(2)
})

describe('a kind that is not installed', () => {
  test('is absent at once if no object is known, and synced when it appears', async () => {
    server.refuse = () => 404
    start()
    await watch!.firstStatus
    expect(consumer.log).toEqual(['absent'])
    server.put('ns', 'a')
    server.refuse = () => undefined
    await inSync()
  })

  test('is absent after three 404 if objects are known, which are then deleted', async () => {
    server.put('ns', 'a')
    start()
    await watching()
    server.refuse = () => 404
    server.endWatches()
    await inState('absent')
    expect(consumer.log).toEqual(['set ns/a', 'synced', 'failing', 'deleted ns/a', 'absent'])
    server.refuse = () => undefined
    await inSync()
  })

  test('is not absent after a single 404', async () => {
    server.put('ns', 'a')
    start()
    await watching()
    server.faults.push({ status: 404 })
    server.endWatches()
    await until(() => expect(states()).toEqual(['synced', 'failing', 'synced']))
    expect(changes()).toEqual(['set ns/a'])
  })
})

describe('an object that is too large', () => {
  test('is skipped in a list and in a watch, counts as deleted, and returns when it is smaller', async () => {
    server.put('ns', 'a')
    server.put('ns', 'large', { spec: 'x'.repeat(20_000) })
    start()
    await watching()
    expect(changes()).toEqual(['set ns/a', 'skipped ns/large'])
    expect(consumer.skips[0]).toMatchObject({ identity: { uid: 'uid-2' }, error: { reason: 'TooLarge' } })
    server.put('ns', 'a', { spec: 'x'.repeat(20_000) })
    await until(() => expect(changes().slice(2)).toEqual(['skipped ns/a', 'deleted ns/a']))
    server.put('ns', 'a')
    server.put('ns', 'large')
    await inSync()
    expect(changes().slice(4)).toEqual(['set ns/a', 'set ns/large'])
    expect(server.requests.filter((line) => line.includes('watch=1'))).toHaveLength(1)
  })

  test('of 10 MB is skipped with the default limit', async () => {
    const large = new KubeApi(plainTarget(server.url))
    server.put('ns', 'a')
    server.put('ns', 'large', { spec: 'x'.repeat(10_000_000) })
    watch = new ResourceWatch(large, { kind: WIDGETS, handlers: consumer, pace: FAST })
    await watching()
    server.put('ns', 'b', { spec: 'y'.repeat(10_000_000) })
    server.put('ns', 'c', { spec: 'z'.repeat(1_900_000) })
    await until(() => expect([...consumer.objects.keys()]).toEqual(['ns/a', 'ns/c']))
    expect(consumer.skips.map(({ identity }) => identity.name)).toEqual(['large', 'b'])
    expect(JSON.stringify(consumer.skips)).not.toContain('yyyy')
    await large.close()
  })

  test('is an object like any other below the limit', async () => {
    server.put('ns', 'a', { spec: 'x'.repeat(9_000) })
    start()
    await watching()
    server.put('ns', 'b', { spec: 'x'.repeat(9_000) })
    await inSync()
    expect(consumer.skips).toEqual([])
  })
})

describe('a line of the watch', () => {
  test.each([
    ['is not JSON', 'hello'],
    ['is no event', '[1]'],
    ['has no object', '{"type":"ADDED"}'],
    ['has an unknown type', '{"type":"NEW","object":{"metadata":{}}}'],
    ['has an object without metadata', '{"type":"ADDED","object":{"kind":"Widget"}}'],
    ['is a bookmark without a version', '{"type":"BOOKMARK","object":{"metadata":{}}}'],
    ['is only text', `"${'x'.repeat(20_000)}"`],
  ])('that %s leads to a new list', async (_, text) => {
    server.put('ns', 'a')
    start()
    await watching()
    server.sendRaw(`${text}\n`)
    await until(() => expect(consumer.skips).toHaveLength(1))
    await until(() => expect(server.requests.filter((each) => !each.includes('watch=1'))).toHaveLength(2))
    server.put('ns', 'b')
    await inSync()
    expect(changes().filter((entry) => entry.startsWith('set'))).toEqual(['set ns/a', 'set ns/b'])
  })

  test('with an object that cannot be parsed deletes only that object', async () => {
    server.put('ns', 'a')
    server.put('ns', 'b')
    start()
    await watching()
    server.sendRaw(
      '{"type":"MODIFIED","object":{"metadata":{"name":"a","namespace":"ns","resourceVersion":"102"},"x":}}\n',
    )
    await until(() => expect([...consumer.objects.keys()]).toEqual(['ns/b']))
    expect(consumer.skips).toMatchObject([{ identity: { name: 'a' }, error: { reason: 'InvalidResponse' } }])
    server.put('ns', 'c')
    await until(() => expect([...consumer.objects.keys()]).toEqual(['ns/b', 'ns/c']))
    expect(server.requests.filter((each) => !each.includes('watch=1'))).toHaveLength(1)
  })

  test('may be empty', async () => {
    start()
    await watching()
    server.sendRaw('\n\n')
    server.put('ns', 'a')
    await inSync()
    expect(consumer.skips).toEqual([])
  })

  test('with another error than 410 is reported, and leads to a new list', async () => {
    server.put('ns', 'a')
    start()
    await watching()
    server.sendRaw(
      '{"type":"ERROR","object":{"code":500,"reason":"InternalError","message":"etcd failed"}}\n',
    )
    await until(() => expect(states()).toEqual(['synced', 'failing', 'synced']))
    expect(consumer.statuses[1]).toMatchObject({
      error: { message: expect.stringContaining('etcd failed') },
    })
  })
})

test('an exception of a handler concerns only one object', async () => {
  server.put('ns', 'a')
  server.put('ns', 'b')
  const { set, status } = { set: consumer.set.bind(consumer), status: consumer.status.bind(consumer) }
  consumer.set = (object) => {
    if (object.metadata.name === 'a') throw new Error('cannot take a')
    set(object)
  }
  consumer.status = (...args) => {
    status(...args)
    throw new Error('cannot take a status')
  }
  start()
  await watching()
  expect(consumer.log).toEqual(['skipped ns/a', 'set ns/b', 'synced', 'skipped /'])
  expect(consumer.skips[0]).toMatchObject({
    identity: { namespace: 'ns', name: 'a', uid: 'uid-1' },
    error: { reason: 'InternalError', message: expect.stringContaining('cannot take a') },
  })
  server.put('ns', 'c')
  await until(() => expect([...consumer.objects.keys()]).toEqual(['ns/b', 'ns/c']))
})

test('a watch on which nothing ever arrives is listed again, and reported until something arrives', async () => {
  start({ silenceMs: 50 })
  await inState('failing')
  expect(consumer.statuses.at(-1)).toMatchObject({ error: { reason: 'Timeout' } })
  const before = lists()
  await until(() => expect(lists()).toBeGreaterThan(before + 1))
  expect(states()).toEqual(['synced', 'failing'])
  await until(() => {
    server.bookmark()
    expect(states()).toEqual(['synced', 'failing', 'synced'])
  })
})
