// Tests the models of `inferwire dev` through the broker and the connector.
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { connect } from '@inferwire/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startStack, type DevOptions, type DevStack } from './stack.ts'

const OPTIONS: DevOptions = {
  mqttPort: 0,
  wsPort: 0,
  httpPort: 0,
  adminPort: 0,
  broker: 'embedded',
  models: [],
}

let stack: DevStack

beforeAll(async () => {
  stack = await startStack(OPTIONS)
})
afterAll(() => stack.close())

test('exposes the bundled models, and the example request of each model succeeds', async () => {
  const client = await connect(stack.broker.url, { identity: 'me' })
  const models = await client.models()
  expect(models.map(({ name }) => name).sort()).toEqual(['digits', 'iris', 'toy-chat'])
  for (const { name, example } of models) {
    const { operation, body } = example as { operation: string; body: unknown }
    const reply = await client.infer(name, JSON.stringify(body), { operation: operation as 'predict' })
    expect(reply.status).toBe(200)
  }
  await client.close()
})

test('streams the chat reply of the toy model word by word', async () => {
  const client = await connect(stack.broker.url, { identity: 'me' })
  const texts: string[] = []
  const messages = [{ role: 'user' as const, content: 'Who is the Cat?' }]
  for await (const chunk of client.chat('toy-chat', { messages, max_tokens: 8 }, { stream: true })) {
    texts.push(chunk.choices[0]?.delta.content ?? '')
  }
  expect(texts.filter((text) => text !== '')).toHaveLength(8)
  await client.close()
})

test('serves gRPC on any free port', () => {
  expect(stack.modelServer.grpcUrl).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d+$/)
})

test('if the gRPC port is in use, names the option that changes it', async () => {
  const other = createServer()
  other.listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  await expect(startStack({ ...OPTIONS, grpcPort: port })).rejects.toMatchObject({
    name: 'PortTakenError',
    option: '--grpc-port',
  })
  other.close()
})
