// Runs the case of a feature, and checks the calls, the answers and their order.
import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import type { Received } from '../fixtures/mqtt-client.ts'
import { exposedName } from './case.ts'
import { withoutBatching, type FeatureCase, type FeatureRequest } from './features.ts'
import { WAYS, type WayName } from './ways.ts'
import { CLIENT, type ProtocolWorld } from './world.ts'

/** Sends the requests, and checks their replies. */
export async function runFeature(each: FeatureCase, world: ProtocolWorld): Promise<void> {
  if (each.feature === 'batching') await runBatching(each, world)
  else await runPriority(each, world)
}

// The answers must equal those of the same server to the same requests in calls of their own.
async function runBatching(each: FeatureCase, world: ProtocolWorld): Promise<void> {
  const { model, way, requests } = each
  const [single, batched] = [exposedName(withoutBatching(each)), exposedName(model)]
  await described(batched, world)
  const askAll = (name: string): Promise<Received[]> =>
    Promise.all(requests.map((request) => ask(name, way, request, world)))
  const expected = (await askAll(single)).map(contentOf)
  // From the first round, the connector learns how many requests it should admit at once.
  await askAll(batched)
  const before = await callsTo(batched, world)
  const answers = (await askAll(batched)).map(contentOf)
  const after = await callsTo(batched, world)
  expect(answers).toEqual(expected)
  if (WAYS[way].form.includes('binary')) expect(answers.every(({ binary }) => binary !== '')).toBe(true)
  // Two requests with the same answer could receive each other's answer.
  expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(requests.length)
  expect({ calls: after.calls - before.calls, failovers: after.failovers }).toEqual({
    calls: 1,
    failovers: 0,
  })
}

async function runPriority({ model, way, requests }: FeatureCase, world: ProtocolWorld): Promise<void> {
  const name = exposedName(model)
  const ended: string[] = []
  const send = async (index: number, title: string, priority: string): Promise<void> => {
    const { body } = requests[index]!
    await ask(name, way, { body, properties: { userProperties: { priority } } }, world)
    ended.push(title)
  }
  const all = [send(0, 'running', '0')]
  const running = (): Promise<number> => sample(world, 'inferwire_upstream_inflight_requests', name)
  await expect.poll(running, { interval: 10 }).toBe(1)
  all.push(send(1, 'low', '0'), send(2, 'high', '4'))
  await Promise.all(all)
  expect(ended).toEqual(['running', 'high', 'low'])
}

// Requests to an undescribed model are not merged, because its first dimension may be fixed.
async function described(name: string, { client }: ProtocolWorld): Promise<void> {
  const isDescribed = (message: Received): boolean => {
    if (message.topic !== `infer/models/${name}`) return false
    const card = message.json() as { operations: string[]; inputs?: unknown }
    return card.inputs !== undefined || card.operations.includes('predict')
  }
  await client.wait(isDescribed, `description of ${name}`, 20_000)
}

async function ask(
  name: string,
  way: WayName,
  { body, properties = {} }: FeatureRequest,
  { client }: ProtocolWorld,
): Promise<Received> {
  const topic = `infer/request/${CLIENT}/${name}/${WAYS[way].operation}`
  const reply = await client.ask(topic, body, { ...properties, correlationData: randomBytes(12) }, 20_000)
  expect(reply.user['status'], reply.payload.toString('utf8', 0, 500)).toBe('200')
  return reply
}

// The JSON is parsed, because its members may be written in another way; the bytes of binary tensors follow it.
function contentOf({ payload, user }: Received): { json: unknown; binary: string } {
  const length = Number(user['inference-header-content-length'] ?? payload.length)
  return {
    json: JSON.parse(payload.subarray(0, length).toString()) as unknown,
    binary: payload.subarray(length).toString('hex'),
  }
}

async function callsTo(name: string, world: ProtocolWorld): Promise<{ calls: number; failovers: number }> {
  const calls = await sample(world, 'inferwire_batch_size_count', name)
  return { calls, failovers: await sample(world, 'inferwire_batch_failovers_total', name) }
}

// Returns the sum of a metric's samples for a model.
async function sample({ running }: ProtocolWorld, metric: string, model: string): Promise<number> {
  const text = await (await fetch(`${running.connector.adminUrl}/metrics`)).text()
  const samples = text.matchAll(new RegExp(`^${metric}\\{[^}]*model="${model}"[^}]*\\} (\\S+)$`, 'gm'))
  return [...samples].reduce((sum, [, value]) => sum + Number(value), 0)
}
