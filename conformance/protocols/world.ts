// Starts the servers, a broker and a connector that exposes the tested models.
import type { ConfigInput } from '@inferwire/connector'
import { runConnector, type TestConnector } from '../fixtures/connector.ts'
import { startKserveOpenai } from '../fixtures/kserve-openai.ts'
import { startKserveServer } from '../fixtures/kserve-server.ts'
import { startMlserver } from '../fixtures/mlserver.ts'
import { startMosquitto } from '../fixtures/mosquitto.ts'
import { TestClient } from '../fixtures/mqtt-client.ts'
import type { PythonServer } from '../fixtures/python-server.ts'
import { startTriton } from '../fixtures/triton-server.ts'
import { Gate } from '../rig/answers.ts'
import { NamedBehaviours } from '../rig/model-behaviours.ts'
import { GrpcModelServer } from '../rig/grpc-model-server.ts'
import { FakeModelServer, readyForText } from '../rig/model-server.ts'
import { StreamModelServer } from '../rig/stream-model-server.ts'
import { exposedName, type ServerName, type TestedModel } from './case.ts'

/** The client of all requests. */
export const CLIENT = 'cam7'

/** The running programs. */
export interface ProtocolWorld {
  readonly client: TestClient
  readonly running: TestConnector
  /** Number of calls that the gateway leaves unanswered: those to `held` over HTTP, and to `hang` over gRPC. */
  readonly openCalls: () => number
  readonly urls: Readonly<Record<ServerName, { readonly http: string; readonly grpc: string }>>
  stop(): Promise<void>
}

const SETTINGS = {
  // The circuit breaker is disabled, so that failures in one case do not affect another case.
  circuit: { failuresMax: 0 },
  timeoutMs: 10_000,
}

/** Starts everything; resolves when the model cards of all servers are published. */
export async function startWorld(tested: readonly TestedModel[]): Promise<ProtocolWorld> {
  const gate = new Gate()
  const [broker, kserve, triton, mlserver, openai, gateway, grpcGateway, streams] = await Promise.all([
    startMosquitto({ isInMemory: true }),
    startKserveServer(),
    startTriton(),
    startMlserver(),
    startKserveOpenai(),
    FakeModelServer.start({
      answer: gate.hold(new NamedBehaviours().answer, 'held'),
      describe: readyForText(tested.filter(({ server }) => server === 'gateway').map(({ name }) => name)),
    }),
    GrpcModelServer.start(),
    StreamModelServer.start(),
  ])
  const urls = {
    kserve: urlsOf(kserve),
    triton: urlsOf(triton),
    mlserver: urlsOf(mlserver),
    openai: { http: openai.url, grpc: openai.url },
    gateway: { http: gateway.url, grpc: grpcGateway.url },
    openaiGateway: { http: `${streams.url}/openai`, grpc: streams.url },
    generateGateway: { http: `${streams.url}/generate`, grpc: streams.url },
    inferStreamGateway: { http: `${streams.url}/infer_stream`, grpc: streams.url },
    nothing: { http: 'http://127.0.0.1:1', grpc: 'http://127.0.0.1:1' },
  }
  const models = modelsOf(tested, urls)
  const running = await runConnector({ broker: { url: broker.url }, models })
  const client = await TestClient.connect(broker.url)
  await client.subscribe(`infer/reply/${CLIENT}/#`)
  await client.subscribe('infer/models/+')
  // Waits for the models without a configured dialect, because the detection of a dialect takes a moment.
  for (const [name, { protocolVersion }] of Object.entries(models)) {
    if (protocolVersion !== undefined) continue
    await client.wait(({ topic }) => topic === `infer/models/${name}`, `card of ${name}`, 20_000)
  }
  return {
    client,
    running,
    openCalls: () => gate.open + grpcGateway.openCalls('hang'),
    urls,
    stop: async () => {
      await client.close()
      await running.connector.stop()
      await Promise.all([
        kserve.stop(),
        triton.stop(),
        mlserver.stop(),
        openai.stop(),
        gateway.stop(),
        grpcGateway.stop(),
        streams.stop(),
      ])
      await broker.stop()
    },
  }
}

function urlsOf({ url, grpcUrl }: PythonServer): { readonly http: string; readonly grpc: string } {
  return { http: url, grpc: grpcUrl }
}

function modelsOf(
  tested: readonly TestedModel[],
  urls: ProtocolWorld['urls'],
): NonNullable<ConfigInput['models']> {
  const models: NonNullable<ConfigInput['models']> = {}
  for (const model of tested) {
    const { server, transport = 'http', name, options } = model
    const protocol = transport === 'grpc' ? { protocolVersion: 'grpc-v2' as const } : {}
    models[exposedName(model)] = {
      ...SETTINGS,
      ...protocol,
      url: urls[server][transport],
      modelName: name,
      ...options,
    }
  }
  return models
}
