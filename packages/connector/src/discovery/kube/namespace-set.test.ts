// Tests that a namespace set follows names and labels.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { KubeApi } from './kube-api.ts'
import { NamespaceSet } from './namespace-set.ts'
import { ApiServer } from './testing/api-server.ts'
import { FAST, plainTarget } from './testing/consumer.ts'

let server: ApiServer
let api: KubeApi
let set: NamespaceSet | undefined
const log: string[] = []

beforeEach(async () => {
  server = new ApiServer()
  await server.start()
  api = new KubeApi(plainTarget(server.url))
  log.length = 0
})

afterEach(async () => {
  await set?.stop()
  await api.close()
  await server.stop()
})

function start(labelSelector: string): NamespaceSet {
  set = new NamespaceSet(api, {
    labelSelector,
    pace: FAST,
    handlers: {
      added: (name) => log.push(`added ${name}`),
      removed: (name) => log.push(`removed ${name}`),
      status: ({ state }) => log.push(state),
      skipped: ({ error }) => log.push(error.reason),
    },
  })
  return set
}

test('follows the namespaces whose labels match', async () => {
  server.put('', 'one', {}, { models: 'yes' })
  server.put('', 'two')
  const namespaces = start('models=yes')
  await namespaces.firstStatus
  expect(log).toEqual(['added one', 'synced'])
  await expect.poll(() => server.watchCount, { timeout: 20_000 }).toBe(1)
  server.put('', 'two', {}, { models: 'yes' })
  server.put('', 'two', { status: { phase: 'Active' } }, { models: 'yes' })
  server.put('', 'one', {}, { models: 'no' })
  server.put('', 'three', {}, { models: 'yes' })
  server.delete('', 'three')
  await expect.poll(() => log.length, { timeout: 20_000 }).toBe(6)
  expect(log.slice(2)).toEqual(['added two', 'removed one', 'added three', 'removed three'])
  expect([...namespaces.names]).toEqual(['two'])
  expect([namespaces.has('one'), namespaces.has('two')]).toEqual([false, true])
  expect(server.requests[0]).toBe('GET /api/v1/namespaces?limit=500&labelSelector=models%3Dyes')
})

test('selects all namespaces with an empty selector', async () => {
  server.put('', 'one')
  expect((await start('').firstStatus, [...set!.names])).toEqual(['one'])
  expect(server.requests[0]).toBe('GET /api/v1/namespaces?limit=500')
})

test('reports missing rights as its status', async () => {
  server.faults.push({ status: 403 })
  const namespaces = start('')
  await namespaces.firstStatus
  expect(log).toEqual(['forbidden'])
  expect(namespaces.names.size).toBe(0)
})
