// Puts the load of the chaos runs (raw and SDK clients, a ledger) on a broker that the row configures and disturbs.
import { createConnector } from '../chaos/actors.ts'
import { Ledger } from '../chaos/ledger.ts'
import { ChaosLoad } from '../chaos/load.ts'
import { ChaosModelServer } from '../chaos/model-server.ts'
import { judge, type Verdict } from '../chaos/verdict.ts'
import { startMosquitto, type Mosquitto, type MosquittoOptions } from '../fixtures/mosquitto.ts'
import type { ConnectorProcess } from '../rig/connector-process.ts'
import type { Stage } from './stage.ts'

/** The options of the load. The number of raw clients and the number of SDK clients must be even. */
export interface UnderLoadOptions {
  readonly broker: MosquittoOptions
  readonly requests: number
  readonly requestsPerSecond: number
  readonly rawClients: number
  readonly sdkClients: number
  readonly inFlightMax?: number
}

/** The running programs and the load. */
export interface UnderLoad {
  readonly broker: Mosquitto
  readonly connector: ConnectorProcess
  readonly ledger: Ledger
  readonly load: ChaosLoad
  /** Kills the broker, restarts it with the same data, and records the fault in the ledger. */
  killBroker(): Promise<void>
  /** Stops the load; resolves with the verdict when all requests are answered, or no answer arrived for `quietMs`. */
  end(quietMs: number): Promise<Verdict>
}

/** Starts everything; resolves when the connector is ready and the load has begun. */
export async function startUnderLoad(stage: Stage, options: UnderLoadOptions): Promise<UnderLoad> {
  const { requests, requestsPerSecond, rawClients, sdkClients, inFlightMax = 400 } = options
  const ledger = new Ledger(requests + 2)
  const broker = await startMosquitto(options.broker)
  stage.later(() => broker.stop('SIGKILL'))
  const upstream = await ChaosModelServer.start((number) => ledger.called(number))
  stage.later(() => upstream.end())
  const connector = await createConnector(broker.url, upstream.port, { looksForPoison: true })
  stage.later(() => connector.end('SIGKILL'))
  await connector.startReady()
  const load = new ChaosLoad({ ledger, port: broker.port, requests, rawClients, sdkClients, inFlightMax })
  stage.later(() => load.close())
  await load.start()
  load.requestsPerSecond = requestsPerSecond
  load.begin()
  return {
    broker,
    connector,
    ledger,
    load,
    killBroker: async () => {
      const startedAtMs = Date.now()
      await broker.stop('SIGKILL')
      await broker.start()
      const endedAtMs = Date.now()
      ledger.faults.push({ kind: 'broker-kill', startedAtMs, endedAtMs, recoveryMs: undefined })
    },
    end: async (quietMs) => {
      load.stop()
      await load.settle(quietMs, () => false)
      await upstream.flush()
      return judge({ ledger, violations: [] })
    },
  }
}
