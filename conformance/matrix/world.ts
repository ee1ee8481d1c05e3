// Starts the programs that most rows need: a broker, a model server and a connector.
import type { ConfigInput } from '@inferwire/connector'
import { ConnectorProcess, type ProcessOptions } from '../rig/connector-process.ts'
import { ProcessMeter } from '../rig/process-meter.ts'
import { startMosquitto, type Mosquitto, type MosquittoOptions } from '../fixtures/mosquitto.ts'
import type { Findings } from './row.ts'
import type { Stage } from './stage.ts'
import { ModelServerProcess } from '../rig/model-server-process.ts'

/** The options of the programs. */
export interface WorldOptions extends ProcessOptions {
  /** Options of the exposed models, keyed by their names in rig/model-behaviours.ts. All of them use V1. */
  readonly models: Readonly<Record<string, Partial<NonNullable<ConfigInput['models']>[string]>>>
  /** Further configuration of the connector. */
  readonly config?: ConfigInput
  readonly broker?: MosquittoOptions
  /** Called with the broker's port before the connector starts, for example to start a proxy for this port. */
  readonly through?: (brokerPort: number) => void
}

/** The running programs. */
export interface World {
  readonly broker: Mosquitto
  readonly upstream: ModelServerProcess
  readonly connector: ConnectorProcess
}

/** Starts everything; resolves when the connector is ready. */
export async function startWorld(stage: Stage, options: WorldOptions): Promise<World> {
  const { models, config, broker: brokerOptions, through, ...processOptions } = options
  const broker = await startMosquitto({ isInMemory: true, ...brokerOptions })
  stage.later(() => broker.stop('SIGKILL'))
  through?.(broker.port)
  const upstream = await ModelServerProcess.start()
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

/** Starts to measure the CPU use of all processes; the returned function stops, and records the figures. */
export function watchCpu(stage: Stage, { broker, upstream, connector }: World): (findings: Findings) => void {
  const meter = new ProcessMeter({
    harness: () => process.pid,
    broker: () => broker.pid,
    upstream: () => upstream.pid,
    connector: () => connector.pid,
  })
  meter.start()
  stage.later(() => meter.stop())
  return (findings) => {
    const shares = Object.entries(meter.stop().cpu).map(([name, share]) => `${name} ${share}`)
    findings.figure('cores', shares.join(' '))
  }
}
