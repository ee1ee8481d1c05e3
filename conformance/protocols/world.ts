// Starts the servers, a broker and a connector that exposes the models of all cases.
import type { ConfigInput } from '@inferwire/connector'
import { runConnector, type TestConnector } from '../fixtures/connector.ts'
import { startKserveServer } from '../fixtures/kserve-server.ts'
import { startMlserver } from '../fixtures/mlserver.ts'
import { startMosquitto } from '../fixtures/mosquitto.ts'
import { TestClient } from '../fixtures/mqtt-client.ts'
import { startTriton } from '../fixtures/triton-server.ts'
import { Gate } from '../rig/answers.ts'
import { NamedBehaviours } from '../rig/model-behaviours.ts'
import { FakeModelServer } from '../rig/model-server.ts'
import { exposedName, type ProtocolCase, type ServerName } from './case.ts'

/** The client of all requests. */
export const CLIENT = 'cam7'

/** The running programs. */
export interface ProtocolWorld {
  readonly client: TestClient
  readonly running: TestConnector
  /** Number of calls of the gateway's model `held` that are open. */
  readonly openCalls: () => number
  readonly urls: Readonly<Record<ServerName, string>>
  stop(): Promise<void>
}

const SETTINGS = {
  // No case affects another.
  circuit: { failuresMax: 0 },
  timeoutMs: 10_000,
}

/** Starts everything; resolves when the model cards of all servers are published. */
export async function startWorld(cases: readonly ProtocolCase[]): Promise<ProtocolWorld> {
  const gate = new Gate()
  const [broker, kserve, triton, mlserver, gateway] = await Promise.all([
    startMosquitto({ isInMemory: true }),
    startKserveServer(),
    startTriton(),
    startMlserver(),
    FakeModelServer.start({ answer: gate.hold(new NamedBehaviours().answer, 'held') }),
  ])
  const urls = {
    kserve: kserve.url,
    triton: triton.url,
    mlserver: mlserver.url,
    gateway: gateway.url,
    nothing: 'http://127.0.0.1:1',
  }
  const models = modelsOf(cases, urls)
  const running = await runConnector({ broker: { url: broker.url }, models })
  const client = await TestClient.connect(broker.url)
  await client.subscribe(`infer/reply/${CLIENT}/#`)
  await client.subscribe('infer/models/+')
  // The dialects of the other models are detected, which takes a moment.
  for (const [name, { protocolVersion }] of Object.entries(models)) {
    if (protocolVersion !== undefined) continue
    await client.wait(({ topic }) => topic === `infer/models/${name}`, `card of ${name}`, 20_000)
  }
  return {
    client,
    running,
    openCalls: () => gate.open,
    urls,
    stop: async () => {
      await client.close()
      await running.connector.stop()
      await Promise.all([kserve.stop(), triton.stop(), mlserver.stop(), gateway.stop()])
      await broker.stop()
    },
  }
}

function modelsOf(
  cases: readonly ProtocolCase[],
  urls: ProtocolWorld['urls'],
): NonNullable<ConfigInput['models']> {
  const models: NonNullable<ConfigInput['models']> = {}
  for (const { model, situation } of cases) {
    if (situation === 'noModel') continue
    const { server, name, options } = model
    models[exposedName(model)] = { ...SETTINGS, url: urls[server], modelName: name, ...options }
  }
  return models
}
