// Tests the fake model server over real HTTP.
import { expect, onTestFinished, test } from 'vitest'
import { after, echo, Gate, json, predictBody } from './answers.ts'
import { digest, FAULTY_MODELS, HOSTILE_MODELS } from './model-behaviours.ts'
import { FakeModelServer, readyForText, type FakeModelServerOptions } from './model-server.ts'

async function start(options?: FakeModelServerOptions): Promise<FakeModelServer> {
  const server = await FakeModelServer.start(options)
  onTestFinished(() => server.stop())
  return server
}

async function predict(server: FakeModelServer, model: string, body = '{"instances":[1]}'): Promise<unknown> {
  const response = await fetch(`${server.url}/v1/models/${model}:predict`, { method: 'POST', body })
  return await response.json()
}

test('the fake server answers with a digest of the body, and counts the calls of each model', async () => {
  const server = await start()
  expect(await predict(server, 'a', '[1]')).toEqual({ predictions: [digest('[1]')] })
  await expect(predict(server, 'reset')).rejects.toThrow('fetch failed')
  await expect(predict(server, 'garbage')).rejects.toThrow('fetch failed')
  expect(server.counts).toEqual({ a: 1, reset: 1, garbage: 1 })
  expect([server.calls('a'), server.calls('b'), server.bodies('a')]).toEqual([1, 0, ['[1]']])
})

test('a model named once-* misbehaves only in the first call with each body', async () => {
  const server = await start()
  for (const body of ['[1]', '[2]']) {
    expect(await predict(server, 'once-error500', body)).toEqual({ error: 'ValueError : boom' })
    expect(await predict(server, 'once-error500', body)).toEqual({ predictions: [digest(body)] })
  }
})

test('a model named after a form and a status answers with both', async () => {
  const server = await start()
  for (const [model, type] of [
    ['json-413', 'application/json'],
    ['text-413', 'text/plain'],
    ['page-413', 'text/html'],
  ] as const) {
    const { status, headers } = await fetch(`${server.url}/v1/models/${model}:predict`, { method: 'POST' })
    expect([status, headers.get('content-type')]).toEqual([413, type])
  }
})

test('a server for texts lists its models, has the routes of the OpenAI API, and finds the model in their bodies', async () => {
  const server = await start({ describe: readyForText(['json-422']) })
  const ask = (path: string, init?: RequestInit): Promise<Response> => fetch(server.url + path, init)
  expect(await (await ask('/openai/v1/models')).json()).toMatchObject({ data: [{ id: 'json-422' }] })
  const routes = ['/openai/v1/embeddings', '/v2/models/json-422/generate', '/v2/models/json-422']
  const statuses = await Promise.all(routes.map(async (path) => (await ask(path)).status))
  expect(statuses).toEqual([405, 405, 200])
  const body = '{"model":"json-422","input":"x"}'
  expect((await ask('/openai/v1/embeddings', { method: 'POST', body })).status).toBe(422)
  expect(server.calls('json-422')).toBe(1)
})

test('the fake server holds calls at a gate, and releases the oldest first', async () => {
  const gate = new Gate()
  const server = await start({ answer: gate.hold(predictBody, 'held') })
  expect(await predict(server, 'free', '1')).toEqual({ predictions: [1] })
  const ended: string[] = []
  const calls = ['1', '2'].map((body) => predict(server, 'held', body).then(() => ended.push(body)))
  await expect.poll(() => gate.open).toBe(2)
  gate.release(1)
  await expect.poll(() => ended).toHaveLength(1)
  expect(gate.open).toBe(1)
  gate.release()
  await Promise.all(calls)
  expect(gate.open).toBe(0)
})

test('the fake server answers with the given function, records the selected calls, and restarts on its previous port', async () => {
  const server = await start({
    answer: (reply, call) =>
      (call.model === 'late' ? after(5, echo) : json(503, { busy: true }))(reply, call),
    keeps: ({ model }) => model === 'late',
  })
  expect([await predict(server, 'late', '[7]'), await predict(server, 'x')]).toEqual([[7], { busy: true }])
  expect(server.requests.map(({ model, protocol }) => [model, protocol])).toEqual([['late', 'v1']])
  await server.stop()
  await expect(predict(server, 'late')).rejects.toThrow('fetch failed')
  await server.start()
  expect(await predict(server, 'late', '[8]')).toEqual([8])
})

test('the fake server has a behaviour for every listed name, and lists each name only once', () => {
  const names = [...FAULTY_MODELS, ...HOSTILE_MODELS]
  expect(new Set(names).size).toBe(names.length)
  expect(names.length).toBeGreaterThan(30)
})
