// What most rows begin with: a broker, a model server and a connector.
import type { ConfigInput } from '@inferwire/connector'
import { ProcessMeter } from '../chaos/process-meter.ts'
import { startMosquitto, type Mosquitto, type MosquittoOptions } from '../fixtures/mosquitto.ts'
import { ConnectorProcess, type ProcessOptions } from './connector-process.ts'
import type { Findings } from './row.ts'
import type { Stage } from './stage.ts'
import { MatrixUpstream } from './upstream.ts'

/** How it differs from the plainest one. */
export interface WorldOptions extends ProcessOptions {
  /** Models of the server in fixtures/misbehaving-upstream.ts, spoken to in V1, and their options. */
  readonly models: Readonly<Record<string, Partial<NonNullable<ConfigInput['models']>[string]>>>
  /** Further configuration of the connector. */
  readonly config?: ConfigInput
  readonly broker?: MosquittoOptions
  /** Called with the port of the broker before the connector starts: who stands between them. */
  readonly through?: (brokerPort: number) => void
}

/** All is running. */
export interface World {
  readonly broker: Mosquitto
  readonly upstream: MatrixUpstream
  readonly connector: ConnectorProcess
}

/** Resolves when the connector is ready. */
export async function startWorld(stage: Stage, options: WorldOptions): Promise<World> {
  const { models, config, broker: brokerOptions, through, ...processOptions } = options
  const broker = await startMosquitto({ isInMemory: true, ...brokerOptions })
  stage.later(() => broker.stop('SIGKILL'))
  through?.(broker.port)
  const upstream = await MatrixUpstream.begin()
  stage.later(() => upstream.end())
  const { url } = upstream
  const connector = await ConnectorProcess.create(
    {
      name: 'matrix',
      ...config,
      broker: { url: broker.url, ...config?.broker },
      models: Object.fromEntries(
        Object.entries(models).map(([name, model]) => [
          name,
          { url, protocolVersion: 'v1' as const, ...model },
        ]),
      ),
    },
    processOptions,
  )
  stage.later(() => connector.end())
  await connector.startReady()
  return { broker, upstream, connector }
}

/** Measures how busy everybody is, from now on; `stop` writes it down. */
export function watchCpu(stage: Stage, { broker, upstream, connector }: World): (findings: Findings) => void {
  const meter = new ProcessMeter({
    harness: () => process.pid,
    broker: () => broker.pid,
    upstream: () => upstream.pid,
    connector: () => (connector.isRunning ? connector.pid : undefined),
  })
  meter.start()
  stage.later(() => meter.stop())
  return (findings) => {
    const shares = Object.entries(meter.stop().cpu).map(([name, share]) => `${name} ${share}`)
    findings.figure('cores', shares.join(' '))
  }
}
