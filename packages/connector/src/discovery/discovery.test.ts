// Tests when models count as known, and when they are removed because access is refused. The API server is a stand-in.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadConfig } from '../config/index.ts'
import { createLog } from '../telemetry/index.ts'
import { Discovery } from './discovery.ts'
import { FAST } from './kube/testing/consumer.ts'
import { startTestCluster, type TestCluster } from './testing/test-cluster.ts'

const NEVER_MS = 1_000_000

let cluster: TestCluster
let discovery: Discovery
let models: Set<string>
let knownCount: number

beforeEach(async () => {
  cluster = await startTestCluster('v1')
  models = new Set()
  knownCount = 0
})
afterEach(async () => {
  await discovery.stop()
  await cluster.close()
})

function start(revokedAfterMs: number): void {
  discovery = new Discovery({
    config: loadConfig({ env: {}, flags: { discovery: cluster.discovery } }),
    models: {
      set: (name) => void models.add(name),
      withhold: () => {},
      remove: (name) => void models.delete(name),
    },
    changed: () => {},
    known: () => (knownCount += 1),
    log: createLog({ level: 'error', format: 'json' }, { write: () => {} }),
    pace: FAST,
    revokedAfterMs,
  })
}

const poll = { timeout: 20_000, interval: 2 }
const refuseVision = (status: () => number): void => {
  cluster.api.refuse = ({ url }) => (url!.includes('/namespaces/vision/') ? status() : undefined)
}

test('the models are known when every namespace was read, and a refusal is not an answer', async () => {
  refuseVision(() => 403)
  start(NEVER_MS)
  await discovery.firstStatus()
  const before = cluster.api.requests.length
  await expect.poll(() => cluster.api.requests.length, poll).toBeGreaterThan(before + 3)
  expect(knownCount).toBe(0)
  cluster.api.refuse = () => undefined
  await expect.poll(() => knownCount, poll).toBe(1)
})

test('the models are known when access was refused for so long that models are removed', async () => {
  refuseVision(() => 403)
  start(20)
  await expect.poll(() => knownCount, poll).toBe(1)
})

let turn = 0
test.each([
  ['403', () => 403],
  ['401', () => 401],
  ['403 and 500 in turns', () => ((turn += 1) % 2 === 0 ? 403 : 500)],
])('removes the models while access is refused with %s, and exposes them afterwards', async (_, status) => {
  cluster.put('models', 'iris')
  cluster.put('vision', 'iris')
  start(100)
  await expect.poll(() => [...models].toSorted(), poll).toEqual(['iris', 'iris.vision'])
  refuseVision(status)
  cluster.api.endWatches()
  await expect.poll(() => [...models], poll).toEqual(['iris'])
  cluster.api.refuse = () => undefined
  await expect.poll(() => [...models].toSorted(), poll).toEqual(['iris', 'iris.vision'])
})
