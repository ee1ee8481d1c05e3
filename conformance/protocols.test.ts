// The contract suite: whatever dialect, transport and server, a client receives the same result in the same situation.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exposedName, type ProtocolCase } from './protocols/case.ts'
import { CASES, GROUPS } from './protocols/rows.ts'
import { runCase } from './protocols/run-case.ts'
import { WAYS } from './protocols/ways.ts'
import { startWorld, type ProtocolWorld } from './protocols/world.ts'

let world: ProtocolWorld

beforeAll(async () => {
  world = await startWorld(CASES)
})

afterAll(() => world.stop())

describe.each(Object.entries(GROUPS))('with %s,', (_, cases) => {
  test.each(cases.map((each) => [titleOf(each), each] as const))('%s', async (__, each) => {
    await runCase(each, world)
  })
})

test('each request has one reply', () => {
  const replies = world.client.received.filter(({ topic }) => topic.startsWith('infer/reply/'))
  expect(replies.length).toBe(CASES.length)
})

test('each exposed model has one configuration', () => {
  const options = new Map<string, string>()
  for (const { model } of CASES) {
    const text = JSON.stringify(model.options ?? {})
    const name = exposedName(model)
    expect(options.get(name) ?? text, name).toBe(text)
    options.set(name, text)
  }
})

function titleOf({ way, situation, what, model }: ProtocolCase): string {
  const { operation, dialect, transport, form } = WAYS[way]
  return `${operation} (${dialect}, ${transport}, ${form}) of ${exposedName(model)}: ${what} is ${situation}`
}
