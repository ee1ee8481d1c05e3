// The contract suite: in each situation, a client receives the same result, whatever the dialect, transport and server.
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exposedName, type ProtocolCase } from './protocols/case.ts'
import { FEATURE_CASES, requestsOf, withoutBatching, type FeatureCase } from './protocols/features.ts'
import { protocolsPage } from './protocols/page.ts'
import { CASES, GROUPS } from './protocols/rows.ts'
import { isLast, runCase } from './protocols/run-case.ts'
import { runFeature } from './protocols/run-feature.ts'
import { SITUATIONS } from './protocols/situations.ts'
import { WAYS } from './protocols/ways.ts'
import { startWorld, type ProtocolWorld } from './protocols/world.ts'

let world: ProtocolWorld

beforeAll(async () => {
  world = await startWorld([
    ...CASES.filter(({ situation }) => situation !== 'noModel').map(({ model }) => model),
    ...FEATURE_CASES.flatMap((each) =>
      each.feature === 'batching' ? [each.model, withoutBatching(each)] : [each.model],
    ),
  ])
})

afterAll(() => world.stop())

describe.each(Object.entries(GROUPS))('with %s,', (_, cases) => {
  test.each(cases.map((each) => [titleOf(each), each] as const))('%s', async (__, each) => {
    await runCase(each, world)
  })
})

test.each(FEATURE_CASES.map((each) => [featureTitle(each), each] as const))('%s', async (_, each) => {
  await runFeature(each, world)
})

test('each request receives exactly one final reply', () => {
  const replies = world.client.received.filter(
    (message) => message.topic.startsWith('infer/reply/') && isLast(message),
  )
  const ofFeatures = FEATURE_CASES.reduce((sum, each) => sum + requestsOf(each), 0)
  const requests = CASES.reduce((sum, { simultaneous = 1 }) => sum + simultaneous, ofFeatures)
  expect(replies.length).toBe(requests)
})

test('all cases of an exposed model use the same options', () => {
  const options = new Map<string, string>()
  for (const { model } of CASES) {
    const text = JSON.stringify(model.options ?? {})
    const name = exposedName(model)
    expect(options.get(name) ?? text, name).toBe(text)
    options.set(name, text)
  }
})

test('docs/protocols.md is up to date (npm run protocols)', () => {
  const page = readFileSync(new URL('../docs/protocols.md', import.meta.url), 'utf8')
  expect(page).toBe(protocolsPage())
})

test('every situation has a case', () => {
  const tested = new Set(CASES.map(({ situation }) => situation))
  expect([...tested].toSorted()).toEqual(Object.keys(SITUATIONS).toSorted())
})

function featureTitle({ feature, way, model }: FeatureCase): string {
  const { operation, dialect, transport, form } = WAYS[way]
  return `${feature} works with ${operation} (${dialect}, ${transport}, ${form}) of ${exposedName(model)}`
}

function titleOf({ way, situation, what, model }: ProtocolCase): string {
  const { operation, dialect, transport, form } = WAYS[way]
  return `${operation} (${dialect}, ${transport}, ${form}) of ${exposedName(model)}: ${what} gives the result "${situation}"`
}
